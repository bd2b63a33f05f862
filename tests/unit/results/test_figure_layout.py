"""How the figures are composed: nothing overlaps, nothing is cut off, fonts are embedded."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from matplotlib.text import Text

from ecqx.results import controls, figures, statistics, style
from ecqx.results.figures.layout import Page, note_of, text_width, wrap
from ecqx.results.keys import METHOD_COLUMNS
from tests.unit.results.figure_inputs import (
    gallery_input,
    make_controls,
    make_gains,
    make_layers,
    make_relevance,
)

MORE = {
    "ecq_wcam": [{"bits": 4, "lam": lam} for lam in (0.01, 0.1, 0.3)],
    "ecqx_wcam": [{"bits": 4, "lam": lam} for lam in (0.01, 0.1, 0.3)],
}
LAM = pd.DataFrame(
    [["ecq", "lam", "float", "front", "0.1", "λ: weight of the entropy term [–]", None]],
    columns=METHOD_COLUMNS,
)
EXPLAINERS = [
    "lrp_epsilon_plus_flat", "lrp_epsilon_alpha2_beta1_flat", "integrated_gradients", "smoothgrad",
    "excitation_backprop", "rap",
]  # fmt: skip


@pytest.fixture(scope="module")
def results(build_runs, build_attributions):
    """Eight methods, two of them without training, on three tasks, each with diverged runs."""
    diverged = {("digits", method, 0, 1) for method in
                ("uniform_ptq", "uniform", "ecq", "ecqx", "wcam", "nncodec", *MORE)}  # fmt: skip
    runs = build_runs(extra=MORE, diverged=diverged)
    runs["epoch"] = np.where(runs["method"].isin(["uniform_ptq", "nncodec"]), np.nan, 2)
    runs["peak_memory_bytes"] = 3e8 + 1e7 * np.arange(len(runs))
    rows = build_attributions(runs)
    lrp = rows[rows["explainer"] == "lrp_epsilon_plus_flat"]
    rows = pd.concat([rows.drop(lrp.index), *(lrp.assign(explainer=name) for name in EXPLAINERS)])
    more = {"normalised_l2": "ssim", "relevance_mass": "auc"}
    rows = pd.concat(
        [rows, *(rows[rows["metric"] == old].assign(metric=new) for new, old in more.items())]
    )
    return runs, rows


def gallery(runs, width, shape=(1, 8, 8)):
    images, reference, selected, maps = gallery_input(runs, shape)
    names = ["zero", "one", "a longer name"]
    return figures.gallery(images, reference, selected, maps, EXPLAINERS[0], None, names, width)


def of_controls(width):
    runs = make_controls()
    return figures.controls_of_relevance(runs, controls.paired_differences(runs), width)


def with_a_fourth_task(runs):
    return pd.concat([runs, runs[runs["dataset"] == "digits"].assign(model="vgg16_imagenet")])


DRAW = {
    "accuracy_vs_size": lambda r, a, w: figures.accuracy_vs_size(r, w),
    "accuracy_vs_sparsity": lambda r, a, w: figures.accuracy_vs_sparsity(r, w),
    "consistency_vs_size": lambda r, a, w: figures.consistency_vs_size(r, a, "cosine", width=w),
    "localisation_vs_size": lambda r, a, w: figures.localisation_vs_size(r, a, width=w),
    "faithfulness_vs_size": lambda r, a, w: figures.faithfulness_vs_size(r, make_gains(r), width=w),
    "accuracy_vs_consistency": lambda r, a, w: figures.accuracy_vs_consistency(r, a, "cosine", w),
    "metric_correlations": lambda r, a, w: figures.metric_correlations(r, a, w),
    "layers": lambda r, a, w: figures.layers(r, make_layers(r, 9), w),
    "relevance_vs_magnitude": lambda r, a, w: figures.relevance_vs_magnitude(
        make_relevance(r, 9), w
    ),
    "sensitivity": lambda r, a, w: figures.sensitivity(r, "lam", w, LAM),
    "training_cost": lambda r, a, w: figures.training_cost(r, w),
    "ranks": lambda r, a, w: figures.ranks(with_a_fourth_task(r), w),
    "gallery": lambda r, a, w: gallery(r, w),
    "gallery of spectrograms": lambda r, a, w: gallery(r, w, (1, 15, 49)),
    "controls": lambda r, a, w: of_controls(w),
}


# Axis labels without a unit of their own: names of rows of panels, whose quantity and unit the
# small print gives, and the names of a gallery's samples.
NAMES_OF_ROWS = {style.label(name) for name in [*EXPLAINERS, "grad_cam", "gradient_x_input"]} | {
    "zero", "one", "a longer name",
}  # fmt: skip


def drawn_texts(figure, monkeypatch):
    """Every text that is really drawn, with its place in dots."""
    seen = []
    draw = Text.draw

    def record(text, renderer, *rest, **options):
        if text.get_visible() and text.get_text().strip():
            seen.append(text)
        return draw(text, renderer, *rest, **options)

    with monkeypatch.context() as patch, style.context():
        patch.setattr(Text, "draw", record)
        canvas = FigureCanvasAgg(figure)
        figure.draw(canvas.get_renderer())
        return [(text, text.get_window_extent(canvas.get_renderer())) for text in seen]


def overlap(one, other, slack=1.0):
    """Whether two boxes share more than ``slack`` dots in both directions."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return width > slack and height > slack


@pytest.mark.parametrize("width", style.WIDTHS)
@pytest.mark.parametrize("name", DRAW)
def test_no_text_overlaps_another_or_is_cut_off(name, width, results, monkeypatch):
    figure = DRAW[name](*results, width)
    assert figure.get_figwidth() == style.WIDTHS[width]
    texts = drawn_texts(figure, monkeypatch)
    assert len(texts) > 5
    for text, box in texts:
        assert min(box.x0, box.y0) >= -1, text
        assert box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1, text
    for (one, box), (other, other_box) in itertools.combinations(texts, 2):
        assert not overlap(box, other_box), (one, other)
    for legend in figure.legends:
        for axis in figure.axes:
            if axis.axison and axis.get_visible():
                assert not overlap(legend.get_window_extent(), axis.get_window_extent())
    for axis in figure.axes:
        for words in filter(None, (axis.get_xlabel(), axis.get_ylabel())):
            words = words.replace("\n", " ")
            assert words in NAMES_OF_ROWS or "[" in words, words
    smallest = min(text.get_fontsize() for text, _ in texts)
    assert smallest >= 6


@pytest.mark.parametrize("name", ["accuracy_vs_size", "layers", "gallery"])
def test_fonts_are_embedded_as_type_42(name, results):
    pdf = style.render(DRAW[name](*results, "column"), "pdf")
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf


def test_panels_have_the_height_that_was_asked_for_and_equal_widths():
    with style.context():
        page = Page("page", [1.0, 0.5], 3)
        page.grid[0, 0].set_ylabel("two lines of\na label")
        page.grid[0, 2].set_title("a title")
        figure = page.finish(None, "n = 3")
    height = figure.get_figheight()
    boxes = [[axis.get_position() for axis in row] for row in page.grid]
    np.testing.assert_allclose([box.height * height for box in boxes[0]], 1.0)
    np.testing.assert_allclose([box.height * height for box in boxes[1]], 0.5)
    assert len({round(box.width, 9) for row in boxes for box in row}) == 1
    assert note_of(figure) == "n = 3" and figure.texts == []


def entries(count, word="entry"):
    return [Line2D([], [], label=f"{word} {index}") for index in range(count)]


def test_groups_of_a_legend_start_rows_of_their_own_beside_their_titles():
    with style.context():
        page = Page("column", [1.0])
        figure = page.finish({"Group": entries(3), "Another one": entries(2), "": entries(1)})
        FigureCanvasAgg(figure).draw()
        first, second, rest = (legend.get_window_extent() for legend in figure.legends)
        titles = {text.get_text(): text.get_window_extent() for text in figure.texts}
    assert first.y0 > second.y1 and second.y0 > rest.y1
    assert first.x0 == pytest.approx(second.x0, abs=1)
    for title, box in (("Group", first), ("Another one", second)):
        assert titles[title].x1 < box.x0
        assert box.y0 < (titles[title].y0 + titles[title].y1) / 2 < box.y1


def test_a_long_entry_of_a_legend_does_not_push_the_others_into_one_column():
    with style.context():
        long = Line2D([], [], label="one that is as long as half of the column is wide")
        figure = Page("column", [1.0]).finish({"Group": [*entries(6), long]})
    rows = [[text.get_text() for text in legend.get_texts()] for legend in figure.legends]
    assert [label for row in rows for label in row] == [
        *(f"entry {index}" for index in range(6)), long.get_label()
    ]  # fmt: skip
    assert len(rows) == 3


def test_an_unknown_width_is_refused():
    with pytest.raises(ValueError, match="width: 'poster' is none of page, column"):
        Page("poster", [1.0])


def test_wrapping_keeps_lines_within_the_width_and_words_whole():
    text = "some words of a note that is too long for one line"
    lines = wrap(text, 1.0, 6.0).split("\n")
    assert " ".join(lines) == text and len(lines) > 2
    assert all(text_width(line, 6.0) <= 1.0 for line in lines)
    assert wrap("3\N{NO-BREAK SPACE}kB", 0.05, 6.0) == "3\N{NO-BREAK SPACE}kB"
    assert wrap("", 1.0, 6.0) == ""


def test_a_point_of_statistics_is_not_lost_to_the_margins(results):
    """No marker of an operating point lies outside of the full-range panels."""
    runs, _ = results
    figure = figures.accuracy_vs_size(runs)
    points = statistics.aggregate_points(runs)
    for axis, dataset in zip(figure.axes[:3], runs["dataset"].unique(), strict=True):
        own = points[(points["dataset"] == dataset) & points["accuracy_mean"].notna()]
        (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
        assert (own["size_bytes_mean"] / 1e3).between(left, right).all()
        assert (own["accuracy_mean"] * 100).between(low, high).all()
