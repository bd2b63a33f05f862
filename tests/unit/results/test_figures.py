"""What is in the figures; how they look was judged by eye."""

import io

import numpy as np
import pandas as pd
import pytest

from ecqx.results import figures, statistics, style

DIGITS = ("digits", "residual_cnn")
GSC = ("spoken_keywords", "mlp_gsc")
METHODS = ["Uniform PTQ", "Uniform QAT", "ECQ", "ECQx", "WCAM", "NNCodec"]


def panels(figure):
    return [axis for axis in figure.axes if axis.axison]


def legend_labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def note(figure):
    return figure.get_supxlabel().replace("\n", " ")


def texts(axis):
    return [text.get_text() for text in axis.texts]


def markers(axis, look):
    """Mean markers of one method as (x, y) rows, whatever their filling."""
    result = []
    for line in axis.lines:
        own = look.color in (line.get_markerfacecolor(), line.get_markeredgecolor())
        if own and line.get_marker() == look.marker and line.get_transform() == axis.transData:
            result += [tuple(xy) for xy in line.get_xydata()]
    return sorted(result)


def places(points):
    """Where operating points belong in the panel: kB, per cent."""
    size, accuracy = points["size_bytes_mean"] / 1e3, points["accuracy_mean"] * 100
    return sorted(zip(size, accuracy, strict=True))


def as_read_back(frame):
    return pd.read_csv(io.StringIO(frame.to_csv(index=False)))


@pytest.mark.parametrize(
    ("draw", "x_label"),
    [(figures.accuracy_vs_size, "Size [kB]"), (figures.accuracy_vs_sparsity, "Sparsity [%]")],
)
def test_tradeoff_has_two_panels_per_task_with_units(runs, draw, x_label):
    figure = draw(runs)
    axes = panels(figure)
    assert len(axes) == 6
    assert [axis.get_xlabel() for axis in axes[3:]] == [x_label] * 3
    assert axes[0].get_ylabel() == axes[3].get_ylabel() == "Accuracy [%]"
    assert legend_labels(figure)[:6] == METHODS
    assert "95 % t-interval" in note(figure) and "n = 2 to 3 seeds" in note(figure)
    assert figure.get_figwidth() == style.PAGE_WIDTH


def test_every_operating_point_is_at_its_mean(runs):
    axis = panels(figures.accuracy_vs_size(runs))[0]
    points = statistics.aggregate_points(runs)
    points = points[(points["dataset"] == "digits") & points["accuracy_mean"].notna()]
    for method, look in style.method_styles(runs["method"]).items():
        own = points[points["method"] == method]
        expected = places(own)
        np.testing.assert_allclose(markers(axis, look), expected)


def test_fronts_of_all_methods_have_a_black_rim(runs):
    axis = panels(figures.accuracy_vs_size(runs))[0]
    points = statistics.aggregate_points(runs)
    points = points[(points["dataset"] == "digits") & points["complete"]]
    front = points[statistics.pareto_front(points["accuracy_mean"], points["size_bytes_mean"])]
    rimmed = [
        tuple(xy)
        for line in axis.lines
        if line.get_markeredgecolor() == "black" and line.get_linestyle() == "None"
        for xy in line.get_xydata()
    ]
    expected = places(front)
    np.testing.assert_allclose(sorted(rimmed), expected)


def test_full_precision_is_a_line_and_its_size_is_named(runs):
    axis = panels(figures.accuracy_vs_size(runs))[0]
    levels = [line.get_ydata()[0] for line in axis.lines if list(line.get_xdata()) == [0, 1]]
    assert levels == pytest.approx([98.1])
    assert axis.get_title() == "digits / residual_cnn\nfull precision 98.1 ± 0.7 %, 80.0 kB"


def test_diverged_runs_are_counted_in_the_panel_and_below(runs):
    figure = figures.accuracy_vs_size(runs)
    axes = panels(figure)
    assert texts(axes[0]) == ["diverged", "1", "3"]
    assert texts(axes[1]) == ["diverged", "1"]
    assert texts(axes[2]) == []
    crosses = [line for line in axes[0].lines if line.get_marker() == "x"]
    assert [line.get_color() for line in crosses] == ["#56B4E9", "#009E73"]
    # In the lane below the lowest accuracy, inside the panel.
    assert all(0 < line.get_ydata()[0] < 0.13 for line in crosses)
    lane_top = axes[0].transAxes.inverted().transform(axes[0].transData.transform((1, 30)))[1]
    assert lane_top > 0.13
    assert "Diverged runs: Uniform PTQ 1 of 12 (digits), ECQ 3 of 15 (digits)" in note(figure)
    figures.accuracy_vs_sparsity(runs)


def test_skipped_runs_are_named(build_runs):
    runs = build_runs(tasks=[DIGITS])
    runs.loc[runs["method"] == "wcam", ["status"]] = "skipped"
    figure = figures.accuracy_vs_size(runs)
    assert "Skipped runs: WCAM 12 of 12 (digits)." in note(figure)
    assert texts(panels(figure)[0]) == []
    assert "WCAM" in legend_labels(figure)


def test_one_task_fits_a_column_and_one_seed_has_no_interval(build_runs):
    figure = figures.accuracy_vs_size(build_runs(tasks=[DIGITS], seeds=(4,)))
    assert figure.get_figwidth() == style.COLUMN_WIDTH
    assert "n = 1 seed per point: no interval can be given." in note(figure)


def test_a_new_method_is_drawn_without_edits(build_runs):
    runs = build_runs(extra={"my_baseline": [{"bits": 3}, {"bits": 5}]})
    figure = figures.accuracy_vs_size(runs)
    assert "my_baseline" in legend_labels(figure)
    look = style.method_styles(runs["method"])["my_baseline"]
    assert len(markers(panels(figure)[0], look)) == 2


def test_more_than_three_tasks_wrap(build_runs):
    runs = build_runs(methods=["ecq"])
    more = pd.concat([runs, runs.assign(model="other")])
    axes = panels(figures.accuracy_vs_size(more))
    assert len(axes) == 12
    titles = [axis.get_title().split("\n")[0] for axis in axes if axis.get_title()]
    assert len(set(titles)) == 6


def test_consistency_has_a_row_per_explainer_and_shows_anchors(runs, attributions):
    figure = figures.consistency_vs_size(runs, attributions)
    assert len(figure.axes) == 9 and len(panels(figure)) == 8
    (absent,) = [axis for axis in figure.axes if not axis.axison]
    assert texts(absent) == ["no results of this\nexplainer on this network"]
    grid = np.array(figure.axes).reshape(3, 3)
    assert [axis.get_ylabel() for axis in grid[:, 0]] == [
        f"{name}\nCosine similarity [–]" for name in ("LRP", "Grad-CAM", "Gradient × input")
    ]
    assert {axis.get_xlabel() for axis in grid[2]} == {"Size [kB]"}
    levels = [line.get_ydata()[0] for line in grid[0, 0].lines if list(line.get_xdata()) == [0, 1]]
    own = attributions[
        (attributions[["dataset", "explainer", "metric", "subset"]]
         == ["digits", "lrp", "cosine", "all"]).all(axis=1)
        & attributions["signed"]
    ]  # fmt: skip
    anchors = own.groupby("method")["mean"].mean()
    assert levels == pytest.approx([1.0, anchors["retrained"], anchors["random"]])
    assert legend_labels(figure)[-3:] == [
        "Full precision itself",
        "Retrained from another seed",
        "Random network",
    ]
    assert "Diverged runs" in note(figure) and "95 % t-interval" in note(figure)


def test_consistency_points_are_means_of_the_chosen_rows(runs, attributions):
    figure = figures.consistency_vs_size(
        runs, attributions, metric="ssim", subset="both_correct", signed=False
    )
    assert "absolute maps, samples that both networks classify correctly" in note(figure)
    axis = figure.axes[0]
    color = style.method_styles(runs["method"])["wcam"].color
    (line,) = [x for x in axis.lines if x.get_color() == color and x.get_marker() == "D"]
    own = attributions[
        (attributions[["dataset", "explainer", "metric", "subset", "method"]]
         == ["digits", "lrp", "ssim", "both_correct", "wcam"]).all(axis=1)
        & ~attributions["signed"]
    ]  # fmt: skip
    np.testing.assert_allclose(
        sorted(line.get_ydata()), sorted(own.groupby("point")["mean"].mean())
    )


def test_localisation_shows_tasks_with_masks_only(runs, attributions):
    figure = figures.localisation_vs_size(runs, attributions)
    assert len(panels(figure)) == 6
    assert {axis.get_title().split("\n")[0] for axis in figure.axes[:3]} == {
        "cluttered_digits / small_vgg"
    }
    assert figure.axes[0].get_ylabel() == "ROC-AUC [–]"
    assert figure.axes[3].get_ylabel() == "Pointing game [–]"
    assert {axis.get_xlabel() for axis in figure.axes[3:]} == {"Size [kB]"}


def test_localisation_without_masks_says_so(build_runs, build_attributions):
    runs = build_runs(tasks=[DIGITS])
    figure = figures.localisation_vs_size(runs, build_attributions(runs))
    assert texts(figure.axes[0]) == ["no localisation results: no data set with masks"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "case", ["read back", "empty", "all diverged", "no reference", "two seeds", "one point"]
)
def test_figures_can_be_drawn_of_odd_tables(case, build_runs, build_attributions):
    runs = build_runs(tasks=[DIGITS, GSC], methods=["ecq", "wcam"], seeds=(0, 1))
    if case == "one point":
        runs = build_runs(tasks=[GSC], methods=["x"], extra={"x": [{"bits": 4}]}, seeds=(3,))
    attributions = build_attributions(runs)
    if case == "empty":
        runs, attributions = runs.iloc[:0], attributions.iloc[:0]
    if case in ("all diverged", "no reference"):
        runs["status"] = "diverged"
        runs[["accuracy", "size_bytes", "compression_ratio", "sparsity", "entropy_bytes"]] = np.nan
        attributions = attributions[attributions["point"] == "anchor"]
    if case == "no reference":
        runs["accuracy_fp32"] = np.nan
    if case != "two seeds":
        runs, attributions = as_read_back(runs), as_read_back(attributions)
    for figure in (
        figures.accuracy_vs_size(runs),
        figures.accuracy_vs_sparsity(runs),
        figures.consistency_vs_size(runs, attributions),
        figures.localisation_vs_size(runs, attributions),
    ):
        assert style.render(figure, "png", dpi=40).startswith(b"\x89PNG")


def test_pdf_of_a_real_figure_has_type_42_fonts_only(build_runs):
    pdf = style.render(figures.accuracy_vs_size(build_runs(tasks=[DIGITS])), "pdf")
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf


def gallery_input(runs, shape=(1, 8, 8), task="cluttered_digits"):
    rng = np.random.default_rng(0)
    selected = statistics.matched_runs(runs[runs["dataset"] == task])
    images = rng.normal(size=(3, *shape))
    maps = {name: rng.normal(size=(3, *shape[1:])) for name in selected["method"]}
    return images, rng.normal(size=(3, *shape[1:])), selected, maps


def test_gallery_has_a_row_per_sample_and_a_column_per_method(runs):
    images, reference, selected, maps = gallery_input(runs)
    masks = np.zeros((3, 8, 8), dtype=bool)
    masks[:, 2:5, 2:5] = True
    figure = figures.gallery(images, reference, selected, maps, "lrp", masks, ["a", "b", "c"])
    grid = np.array(figure.axes[:24]).reshape(3, 8)  # the last axis is the color bar's
    heads = [axis.get_title().split("\n") for axis in grid[0]]
    assert [head[0] for head in heads] == ["Input", "Full precision", *METHODS]
    run = selected.set_index("method").loc["ecqx"]
    assert heads[5][1:] == [f"{run['size_bytes'] / 1e3:.1f} kB", f"{run['accuracy'] * 100:.1f} %"]
    assert heads[1][1:] == ["310 kB", f"{run['accuracy_fp32'] * 100:.1f} %"]
    assert [axis.get_ylabel() for axis in grid[:, 0]] == ["a", "b", "c"]
    assert figure.get_suptitle() == "cluttered_digits / small_vgg: LRP, seed 0"
    assert all(len(axis.collections) == 1 for axis in grid.ravel())  # the outline
    shown = grid[1, 5].images[0]
    assert shown.get_clim() == (-1, 1)
    expected = maps["ecqx"][1] / np.abs(maps["ecqx"][1]).max()
    np.testing.assert_allclose(shown.get_array(), expected)
    assert "own maximum" in note(figure)


def test_gallery_marks_methods_without_maps_and_survives_degenerate_ones(runs):
    images, reference, selected, maps = gallery_input(runs, (3, 15, 49), "spoken_keywords")
    del maps["wcam"]
    maps["ecq"][:] = 0
    maps["ecqx"][0, 0, 0] = np.nan
    figure = figures.gallery(images, reference, selected, maps, "gradient_x_input")
    grid = np.array(figure.axes[:24]).reshape(3, 8)
    assert texts(grid[0, 6]) == ["none"] and not grid[0, 6].images
    assert (grid[0, 4].images[0].get_array() == 0).all()
    assert np.ma.is_masked(grid[0, 5].images[0].get_array()[0, 0])
    assert style.render(figure, "png", dpi=40)


def test_gallery_heads_of_a_method_without_a_finished_run(build_runs):
    runs = build_runs(
        methods=["uniform", "wcam"],
        diverged={("cluttered_digits", "wcam", step, 0) for step in range(4)},
    )
    images, reference, selected, maps = gallery_input(runs)
    del maps["wcam"]
    figure = figures.gallery(images, reference, selected, maps, "lrp")
    assert figure.axes[3].get_title().split("\n")[:2] == ["WCAM", "no result"]


def test_gallery_refuses_what_does_not_fit(runs):
    images, reference, selected, maps = gallery_input(runs)
    with pytest.raises(ValueError, match=r"images: shape \(3, 8, 8\)"):
        figures.gallery(images[:, 0], reference, selected, maps, "lrp")
    with pytest.raises(ValueError, match="reference_maps: shape"):
        figures.gallery(images, reference[:2], selected, maps, "lrp")
    with pytest.raises(ValueError, match="2 names for 3 samples"):
        figures.gallery(images, reference, selected, maps, "lrp", row_labels=["a", "b"])
    with pytest.raises(ValueError, match="3 tasks"):
        figures.gallery(images, reference, statistics.matched_runs(runs), maps, "lrp")
