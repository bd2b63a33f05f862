"""What is in the figures: every point, recomputed from the rows of the tables by another route."""

import io
import math
import statistics as plain

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata, spearmanr
from scipy.stats import t as student

from ecqx.results import controls, figures, statistics, style
from ecqx.results.figures import panels as shared
from ecqx.results.figures.correlations import correlate
from ecqx.results.figures.cost import relative_time
from ecqx.results.figures.layout import note_of
from ecqx.results.figures.ranks import critical_difference
from ecqx.results.keys import METHOD_COLUMNS
from tests.unit.results.figure_inputs import (
    gallery_input,
    groups,
    make_controls,
    make_gains,
    make_layers,
    make_relevance,
)

LRP = "lrp_epsilon_plus_flat"
DIGITS = ("digits", "residual_cnn")
CLUTTERED = ("cluttered_digits", "small_vgg")
GSC = ("spoken_keywords", "mlp_gsc")
METHODS = ["Uniform PTQ", "Uniform QAT", "ECQ", "ECQx", "WCAM", "NNCodec"]


def panels(figure):
    return [axis for axis in figure.axes if axis.axison]


def legend_labels(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def texts(axis):
    return [text.get_text() for text in axis.texts]


def points(axis, gid="points"):
    """All markers drawn as data, as sorted (x, y) pairs."""
    lines = [line for line in axis.lines if line.get_gid() == gid]
    return sorted(tuple(map(float, xy)) for line in lines for xy in line.get_xydata())


def bars(axis):
    """Ends of all intervals, as ((x0, y0), (x1, y1))."""
    return [
        tuple(map(tuple, segment.vertices))
        for collection in axis.collections
        if collection.get_gid() == "bars"
        for segment in collection.get_paths()
    ]


def of(frame, task):
    return frame[(frame["dataset"] == task[0]) & (frame["model"] == task[1])]


def as_read_back(frame):
    return pd.read_csv(io.StringIO(frame.to_csv(index=False)))


def levels(axis):
    """Heights of the horizontal lines through the whole panel."""
    return [line.get_ydata()[0] for line in axis.lines if list(line.get_xdata()) == [0, 1]]


@pytest.mark.parametrize(
    ("draw", "column", "factor"),
    [
        (figures.accuracy_vs_size, "size_bytes", 1e-3),
        (figures.accuracy_vs_sparsity, "sparsity", 100),
    ],
)
@pytest.mark.parametrize("width", style.WIDTHS)
def test_every_operating_point_is_at_the_mean_of_its_rows(runs, draw, column, factor, width):
    axes = panels(draw(runs, width))
    for task, axis in zip((DIGITS, CLUTTERED, GSC), axes[:3] if width == "page" else axes[::2],
                          strict=True):  # fmt: skip
        expected = []
        for rows in groups(of(runs, task), ["method", "point"]).values():
            ok = [row for row in rows if row["status"] == "ok"]
            if ok:
                x = plain.fmean(row[column] for row in ok) * factor
                expected.append((x, 100 * plain.fmean(row["accuracy"] for row in ok)))
        np.testing.assert_allclose(points(axis), sorted(expected))


def test_intervals_are_those_of_student(build_runs):
    """One method whose points are all on its front."""
    runs = build_runs(tasks=[DIGITS], methods=["nncodec"], noise=0)
    axis = panels(figures.accuracy_vs_size(runs))[0]
    vertical = sorted(
        (end - start) / 2 for (x0, start), (x1, end) in bars(axis) if x0 == x1 and end > start
    )
    expected = []
    for rows in groups(runs, ["point"]).values():
        values = [100 * row["accuracy"] for row in rows]
        expected.append(student.ppf(0.975, 2) * plain.stdev(values) / math.sqrt(3))
    np.testing.assert_allclose(vertical, sorted(expected), rtol=1e-9)


def test_the_front_of_all_methods_is_drawn_beneath_them(runs):
    axis = panels(figures.accuracy_vs_size(runs))[0]
    means = [
        tuple(
            plain.fmean(row[name] for row in rows)
            for name in ("size_bytes", "accuracy_validation", "accuracy")
        )
        for rows in groups(of(runs, DIGITS), ["method", "point"]).values()
        if all(row["status"] == "ok" for row in rows)
    ]
    front = [
        (size / 1e3, 100 * test)
        for size, chosen_by, test in means
        if not any(
            s <= size and v >= chosen_by and (s, v) != (size, chosen_by) for s, v, _ in means
        )
    ]
    np.testing.assert_allclose(points(axis, "front"), sorted(front))
    (line,) = [line for line in axis.lines if line.get_gid() == "front"]
    assert line.get_zorder() < min(x.get_zorder() for x in axis.lines if x.get_gid() == "points")


def test_fronts_are_chosen_on_validation_and_show_test_accuracy(build_runs):
    runs = build_runs(tasks=[DIGITS], methods=["uniform"], noise=0)
    smallest = runs["point"] == "bits~2"
    runs.loc[smallest, "accuracy_validation"] = 0.999  # the best on validation data, and the worst
    figure = figures.accuracy_vs_size(runs)
    axis = panels(figure)[0]
    own = runs[smallest]
    mean = (plain.fmean(own["size_bytes"]) / 1e3, 100 * plain.fmean(own["accuracy"]))
    np.testing.assert_allclose(points(axis, "front"), [mean])
    assert "Fronts are chosen on validation accuracy; test accuracy is shown." in note_of(figure)
    with pytest.raises(ValueError, match="runs: missing column.* accuracy_validation"):
        figures.accuracy_vs_size(runs.drop(columns="accuracy_validation"))


def test_intervals_and_bands_are_cut_at_the_bounds(build_runs, build_attributions):
    runs = build_runs(tasks=[DIGITS], methods=["uniform", "ecq"])
    rng = np.random.default_rng(0)
    for column in ("accuracy", "sparsity", "accuracy_fp32"):
        runs[column] = rng.choice([0.02, 0.5, 0.98], len(runs))
    runs["accuracy_validation"] = 1 - runs["size_bytes"] / 1e6
    attributions = build_attributions(runs)
    attributions["mean"] = rng.choice([-0.98, 0.1, 0.98], len(attributions))
    for axis, (x_low, x_high), (low, high) in (
        (panels(figures.accuracy_vs_size(runs))[0], (0, math.inf), (0, 100)),
        (panels(figures.accuracy_vs_sparsity(runs))[0], (0, 100), (0, 100)),
        (panels(figures.consistency_vs_size(runs, attributions, "cosine"))[0],
         (0, math.inf), (-1, 1)),
    ):  # fmt: skip
        ends = [end for bar in bars(axis) for end in bar]
        assert {low, high} <= {y for _, y in ends}
        assert all(x_low <= x <= x_high and low <= y <= high for x, y in ends)
        bands = [patch for patch in axis.patches if patch.get_gid() == "band"]
        assert bands
        for band in bands:
            assert low <= band.get_y() and band.get_y() + band.get_height() <= high


@pytest.mark.parametrize("width", style.WIDTHS)
def test_methods_that_do_not_train_are_hollow_and_grouped(runs, width):
    untrained = {"uniform_ptq", "nncodec"}
    runs = runs.assign(epoch=np.where(runs["method"].isin(untrained), np.nan, 3))
    figure = figures.accuracy_vs_size(runs, width)
    titles = [text.get_text() for text in figure.texts if text.get_text() in ("Trained",
              "Without training", "No finished run")]  # fmt: skip
    assert titles == ["Trained", "Without training"]
    assert legend_labels(figure)[:6] == [
        "Uniform QAT", "ECQ", "ECQx", "WCAM", "Uniform PTQ", "NNCodec",
    ]  # fmt: skip
    looks = style.method_styles(runs["method"])
    hollow = {looks[name].marker for name in untrained}
    for axis in panels(figure):
        for line in axis.lines:
            if line.get_gid() == "points":
                assert (line.get_markerfacecolor() == "none") == (line.get_marker() in hollow)
    unknown = figures.accuracy_vs_size(runs.drop(columns="epoch"), width)
    assert legend_labels(unknown)[:6] == METHODS
    faces = {line.get_markerfacecolor() for axis in panels(unknown) for line in axis.lines
             if line.get_gid() == "points"}  # fmt: skip
    assert "none" not in faces


def test_a_method_whose_runs_all_failed_is_in_a_group_of_its_own(build_runs):
    runs = build_runs(tasks=[DIGITS], methods=["uniform", "ecq"]).assign(epoch=2.0)
    runs.loc[runs["method"] == "ecq", ["status", "epoch"]] = ["failed", np.nan]
    figure = figures.accuracy_vs_size(runs)
    assert {"Trained", "No finished run"} <= {text.get_text() for text in figure.texts}
    assert texts(panels(figure)[0]) == ["failed", "15"]


def test_coinciding_methods_stay_apart(build_runs):
    """What is drawn over something else is smaller: markers and lines beneath keep their edges."""
    runs = build_runs(tasks=[DIGITS], methods=["ecq"])
    runs = pd.concat([runs, runs.assign(method="ecqx")])
    axis = panels(figures.accuracy_vs_size(runs))[0]
    marks = sorted((x for x in axis.lines if x.get_gid() == "points" and len(x.get_xdata())
                    and x.get_alpha() is None), key=lambda x: x.get_zorder())  # fmt: skip
    assert [line.get_marker() for line in marks] == ["^", "o"]
    assert marks[0].get_markersize() > 1.3 * marks[1].get_markersize()
    curves = {line.get_color(): line for line in axis.lines if len(line.get_xdata()) > 1
              and line.get_gid() is None and line.get_marker() == "None"}  # fmt: skip
    below, above = (curves[line.get_markerfacecolor()] for line in marks)
    assert below.get_zorder() < above.get_zorder()
    assert below.get_linewidth() > 1.3 * above.get_linewidth()


def test_notes_are_not_in_the_picture(runs):
    figure = figures.accuracy_vs_size(runs)
    assert "n = 2 to 3 seeds" in note_of(figure)
    assert not any("seeds" in text.get_text() for text in figure.texts)


def test_full_precision_is_a_line_and_is_named(runs):
    axis = panels(figures.accuracy_vs_size(runs))[0]
    assert levels(axis) == pytest.approx([98.1])
    title = axis.get_title().replace("\N{NO-BREAK SPACE}", " ")
    assert title == "digits / residual CNN\nFP32: 98.1 ± 0.7 %, 80.0 kB"


def test_diverged_runs_are_counted_in_the_panel_and_below(runs):
    figure = figures.accuracy_vs_size(runs)
    axes = panels(figure)
    assert texts(axes[0]) == ["diverged", "1", "3"]
    assert texts(axes[1]) == ["diverged", "1"]
    assert texts(axes[2]) == []
    crosses = [line for line in axes[0].lines if line.get_marker() == "x"]
    looks = style.method_styles(runs["method"])
    assert [line.get_color() for line in crosses] == [
        looks["uniform_ptq"].color,
        looks["ecq"].color,
    ]
    # In the lane below the lowest accuracy, inside the panel.
    assert all(0 < line.get_ydata()[0] < 0.12 for line in crosses)
    lowest = min(y for _, y in points(axes[0]))
    place = axes[0].transAxes.inverted().transform(axes[0].transData.transform((1, lowest)))
    assert place[1] > 0.12
    assert "Diverged runs: Uniform PTQ 1 of 12 (digits), ECQ 3 of 15 (digits)" in note_of(figure)


def test_skipped_runs_are_named(build_runs):
    runs = build_runs(tasks=[DIGITS])
    runs.loc[runs["method"] == "wcam", ["status"]] = "skipped"
    figure = figures.accuracy_vs_size(runs)
    assert "Skipped runs: WCAM 12 of 12 (digits)." in note_of(figure)
    assert texts(panels(figure)[0]) == []
    assert "WCAM" in legend_labels(figure)


def test_few_seeds_are_said_and_have_no_interval(build_runs):
    one = figures.accuracy_vs_size(build_runs(tasks=[DIGITS], seeds=(4,)))
    assert "n = 1 seed: no interval can be given." in note_of(one)
    assert bars(panels(one)[0]) == []
    two = figures.accuracy_vs_size(build_runs(tasks=[DIGITS], seeds=(0, 1)))
    assert "n = 2 seeds" in note_of(two) and "Fewer than 3 seeds" in note_of(two)
    three = figures.accuracy_vs_size(build_runs(tasks=[DIGITS]))
    assert "n = 3 seeds" in note_of(three) and "Fewer" not in note_of(three)


def test_a_new_method_is_drawn_without_edits(build_runs):
    runs = build_runs(tasks=[DIGITS], extra={"my_baseline": [{"bits": 3}, {"bits": 5}]})
    figure = figures.accuracy_vs_size(runs)
    assert "my baseline" in legend_labels(figure)
    look = style.method_styles(runs["method"])["my_baseline"]
    own = [line for line in panels(figure)[0].lines
           if line.get_gid() == "points" and line.get_marker() == look.marker]  # fmt: skip
    assert sum(len(line.get_xdata()) for line in own) == 2


def test_more_than_three_tasks_wrap(build_runs):
    runs = build_runs(methods=["ecq"])
    more = pd.concat([runs, runs.assign(model="other")])
    axes = panels(figures.accuracy_vs_size(more))
    assert len(axes) == 12
    assert len({axis.get_title().split("\n")[0] for axis in axes if axis.get_title()}) == 6


def test_with_many_points_fronts_stay_readable(build_runs):
    many = {f"m{i}": [{"lam": k / 100} for k in range(30)] for i in range(4)}
    runs = pd.concat(
        build_runs(tasks=[DIGITS], methods=[name], extra={name: grid[s : s + 5]})
        for name, grid in many.items()
        for s in range(0, 30, 5)
    )
    figure = figures.accuracy_vs_size(runs)
    assert "more than 100 operating points" in note_of(figure)
    axis = panels(figure)[0]
    assert bars(axis) == [] and points(axis, "seeds") == []
    assert len(points(axis)) == 120


def mean_of(attributions, runs, task, explainer, metric, subset="all", signed=True):
    """(size in kB, value) per operating point, and the level of each anchor."""
    sizes = {(r["method"], r["point"], r["seed"]): r["size_bytes"] / 1e3
             for r in of(runs, task).to_dict("records") if r["status"] == "ok"}  # fmt: skip
    wanted = {"explainer": explainer, "metric": metric, "subset": subset, "signed": signed}
    cells = {}
    for row in of(attributions, task).to_dict("records"):
        if all(row[key] == value for key, value in wanted.items()):
            cells.setdefault((row["method"], row["point"]), []).append(row)
    found, anchors = [], {}
    for (method, point), rows in cells.items():
        value = plain.fmean(row["mean"] for row in rows)
        if point == "anchor":
            anchors[method] = value
        else:
            size = plain.fmean(sizes[method, point, row["seed"]] for row in rows)
            found.append((size, value))
    return sorted(found), anchors


def test_a_row_keeps_its_label_and_numbers_if_its_first_panel_is_empty(runs, attributions):
    first = (attributions["dataset"] == DIGITS[0]) & (attributions["explainer"] == "grad_cam")
    figure = figures.consistency_vs_size(runs, attributions[~first], "cosine")
    grid = np.array(figure.axes).reshape(3, 3)
    assert texts(grid[1, 0]) == ["no results of this\nexplainer on this network"]
    assert grid[1, 0].axison and grid[1, 0].get_ylabel() == "Grad-CAM"
    numbered = [axis.yaxis.get_tick_params()["labelleft"] for axis in grid[1]]
    assert numbered[:2] == [False, True]
    assert [axis.yaxis.get_tick_params()["labelleft"] for axis in grid[0]] == [True, False, False]


def test_consistency_has_a_row_per_explainer_and_shows_anchors(runs, attributions):
    figure = figures.consistency_vs_size(runs, attributions, "cosine")
    assert len(figure.axes) == 9 and len(panels(figure)) == 8
    (absent,) = [axis for axis in figure.axes if not axis.axison]
    assert texts(absent) == ["no results of this\nexplainer on this network"]
    grid = np.array(figure.axes).reshape(3, 3)
    assert [axis.get_ylabel().replace("\n", " ") for axis in grid[:, 0]] == [
        "LRP ε-plus-flat", "Grad-CAM", "Gradient × input",
    ]  # fmt: skip
    assert {axis.get_xlabel() for axis in grid[2]} == {"Size [kB]"}
    for i, explainer in enumerate((LRP, "grad_cam", "gradient_x_input")):
        for j, task in enumerate((DIGITS, CLUTTERED, GSC)):
            if grid[i, j] is absent:
                continue
            expected, anchors = mean_of(attributions, runs, task, explainer, "cosine")
            np.testing.assert_allclose(points(grid[i, j]), expected)
            order = [anchors[name] for name in ("identical", "retrained", "random")]
            assert levels(grid[i, j]) == pytest.approx(order)
    assert legend_labels(figure)[-3:] == [
        "Full precision itself", "Retrained from another seed", "Random network",
    ]  # fmt: skip
    assert "Cosine similarity [–] of signed maps" in note_of(figure)
    assert "Diverged runs" in note_of(figure) and "95 % t-interval" in note_of(figure)


def test_consistency_of_a_subset_and_of_absolute_maps(runs, attributions):
    figure = figures.consistency_vs_size(
        runs, attributions, metric="ssim", subset="both_correct", signed=False, width="column"
    )
    assert "absolute maps, mean over samples that both networks classify" in note_of(figure)
    expected, _ = mean_of(attributions, runs, DIGITS, LRP, "ssim", "both_correct", False)
    np.testing.assert_allclose(points(figure.axes[0]), expected)


def test_a_column_shows_one_explainer_of_each_family(runs, attributions):
    lrp = attributions[attributions["explainer"] == LRP]
    more = pd.concat(
        [attributions, *(lrp.assign(explainer=name)
                    for name in ("lrp_epsilon_alpha2_beta1_flat", "rap", "an_own_one"))]
    )  # fmt: skip
    figure = figures.consistency_vs_size(runs, more, "cosine", width="column")
    assert [axis.get_title() for axis in figure.axes[:2]] == ["LRP ε-plus-flat", "Grad-CAM"]
    page = figures.consistency_vs_size(runs, more, "cosine")
    names = [axis.get_ylabel() for axis in page.axes if axis.get_ylabel()]
    assert len(names) == 6 and names[-1] == "an own one"


def test_localisation_shows_tasks_with_masks_only(runs, attributions):
    figure = figures.localisation_vs_size(runs, attributions)
    assert note_of(figure).startswith("cluttered digits / small VGG: signed maps")
    axes = panels(figure)
    assert [axis.get_title() for axis in axes[:2]] == ["ROC-AUC [–]", "Relevance rank [–]"]
    assert len(axes) == 6
    expected, _ = mean_of(attributions, runs, CLUTTERED, "grad_cam", "relevance_rank")
    np.testing.assert_allclose(points(axes[3]), expected)
    named = figures.localisation_vs_size(runs, attributions, ["pointing_game"])
    assert panels(named)[0].get_title() == "Pointing game [–]"


def test_faithfulness_shows_gains_and_own_evidence(runs):
    gains = make_gains(runs)
    figure = figures.faithfulness_vs_size(runs, gains)
    axes = panels(figure)
    titles = [axis.get_title() for axis in axes[:2]]
    assert titles == ["Relevance gain [–]", "Own evidence [–]"]
    assert axes[0].get_ylabel() == "Grad-CAM"
    own = gains[gains["network"] == "own"].assign(subset="all", metric=gains["map"])
    found, levels = mean_of(own, runs, DIGITS, "grad_cam", "own")
    np.testing.assert_allclose(points(axes[0]), found)
    assert levels["identical"] == pytest.approx(0.5 + 0.01)
    # made so that full precision's map is worse by 0.05 throughout
    np.testing.assert_allclose([y for _, y in points(axes[1])], 0.05)
    assert "the samples that were occluded" in note_of(figure)


def test_accuracy_and_consistency_are_read_off_at_equal_size(build_runs, build_attributions):
    """By hand, with np.interp, on one method whose points are all on its front."""
    runs = build_runs(tasks=[DIGITS], methods=["nncodec"], noise=0)
    attributions = build_attributions(runs)
    figure = figures.accuracy_vs_consistency(runs, attributions, "cosine", width="column")
    (axis,) = panels(figure)
    words = note_of(figure).split("Equal compression ratios: digits: ")[1].split(". ")[0]
    ratios = [float(word) for word in words.split(", ")]
    rows = attributions[
        (attributions["explainer"] == LRP)
        & (attributions["metric"] == "cosine")
        & (attributions["subset"] == "all")
        & attributions["signed"]
    ]
    expected = []
    for ratio in ratios:
        pairs = []
        for seed in (0, 1, 2):
            own = runs[runs["seed"] == seed].sort_values("size_bytes")
            value = dict(zip(*rows.loc[rows["seed"] == seed, ["point", "mean"]].T.to_numpy(),
                             strict=True))  # fmt: skip
            at, sizes = np.log(80_000 / ratio), np.log(own["size_bytes"].to_numpy(float))
            pairs.append(
                (np.interp(at, sizes, [value[point] for point in own["point"]]),
                 100 * (np.interp(at, sizes, own["accuracy"]) - own["accuracy_fp32"].iloc[0]))
            )  # fmt: skip
        expected.append(tuple(np.mean(pairs, axis=0)))
    assert len(ratios) == 3
    np.testing.assert_allclose(points(axis), sorted(expected))


def test_accuracy_and_consistency_reach_from_the_lowest_to_the_highest_seed(
    build_runs, build_attributions
):
    runs = build_runs(tasks=[DIGITS], methods=["nncodec"])
    table = statistics.at_ratios(runs)
    (axis,) = panels(
        figures.accuracy_vs_consistency(runs, build_attributions(runs), "cosine", "column")
    )
    vertical = {(low, high) for (x0, low), (x1, high) in bars(axis) if x0 == x1}
    found = {
        (100 * min(changes), 100 * max(changes))
        for changes in (
            [row["accuracy_change"] for row in rows] for rows in groups(table, ["ratio"]).values()
        )
    }
    assert len(vertical) == 3
    for low, high in vertical:
        assert any(np.allclose((low, high), pair) for pair in found)


@pytest.mark.parametrize("metric", ["cosine", "normalised_l2", "my_measure"])
def test_nothing_leaves_the_panels_of_accuracy_and_consistency(runs, attributions, metric):
    """Not even networks that collapsed, whatever the range of the measure."""
    rows = attributions[attributions["metric"] == "cosine"].assign(metric=metric)
    if metric != "cosine":
        rows["mean"] = 1.2 * (1 - rows["mean"])
    figure = figures.accuracy_vs_consistency(runs, rows, metric)
    drawn = 0
    for axis in panels(figure):
        (left, right), (low, high) = sorted(axis.get_xlim()), sorted(axis.get_ylim())
        assert axis.xaxis_inverted() == (metric == "normalised_l2")
        ends = [end for bar in bars(axis) for end in bar]
        assert len(axis.get_xticks()) >= 2 and len(axis.get_yticks()) >= 2
        for x, y in [*points(axis), *ends]:
            assert left <= x <= right and low <= y <= high
            drawn += 1
    assert drawn > 100


def test_a_method_shares_a_ratio_only_with_every_seed(build_runs, build_attributions):
    runs = build_runs(tasks=[DIGITS], methods=["uniform", "ecq", "nncodec"])
    lost = (runs["method"] == "ecq") & (runs["seed"] == 1)
    runs.loc[lost, "status"] = "diverged"
    figure = figures.accuracy_vs_consistency(runs, build_attributions(runs), "cosine", "column")
    (axis,) = panels(figure)
    looks = style.method_styles(runs["method"])
    drawn = {line.get_marker() for line in axis.lines if line.get_gid() == "points"}
    assert drawn == {looks["uniform"].marker, looks["nncodec"].marker}
    assert "No run within 10 % of one of them with every seed: ECQ (digits)." in note_of(figure)


def test_ranks_of_a_hand_made_case(build_runs):
    runs = build_runs(methods=["uniform", "ecq", "wcam"])
    assert shared.why_nothing(figures.ranks(runs)) == "ranks need at least 4 tasks"
    fourth = of(runs, DIGITS).assign(model="other", size_fp32_bytes=90_000)
    runs = pd.concat([runs, fourth], ignore_index=True)
    figure = figures.ranks(runs)
    volumes = statistics.seed_volumes(runs)
    expected = {}
    for task in (DIGITS, CLUTTERED, GSC, ("digits", "other")):
        own = of(volumes, task)
        means = [
            plain.fmean(own.loc[own["method"] == m, "volume"]) for m in ("uniform", "ecq", "wcam")
        ]
        for row, rank in enumerate(rankdata([-mean for mean in means])):
            expected.setdefault(row, []).append(rank)
    axis = figure.axes[0]
    drawn = [(round(y), x) for x, y in points(axis, "ranks")]
    assert sorted(drawn) == sorted((row, rank) for row, own in expected.items() for rank in own)
    means = {round(y): x for x, y in points(axis, "mean ranks")}
    assert means == pytest.approx({row: plain.fmean(own) for row, own in expected.items()})
    assert "N = 4 tasks" in note_of(figure)
    # 3 methods on 4 tasks: 2.343 sqrt(3 * 4 / 24) = 1.66 (Demšar's table), fewer than 2 ranks apart
    assert "critical difference 1.7" in note_of(figure)
    assert "no significance can follow" in note_of(figure)
    one = figures.ranks(runs[runs["method"] == "ecq"], "column")
    assert "nothing can be said" in note_of(one)


@pytest.mark.parametrize(
    ("methods", "quantile"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (8, 3.031), (10, 3.164)],
)
def test_critical_difference_agrees_with_published_quantiles(methods, quantile):
    """Demšar 2006, table 5 (a)."""
    expected = quantile * math.sqrt(methods * (methods + 1) / (6 * 20))
    assert critical_difference(methods, 20) == pytest.approx(expected, rel=5e-4)


def test_time_is_relative_to_uniform_training_of_the_same_seed(build_runs):
    runs = build_runs(tasks=[DIGITS])
    rng = np.random.default_rng(0)
    runs["train_s"] = rng.uniform(1, 9, len(runs))
    figure = figures.training_cost(runs, "column")
    base = {seed: plain.median(row["train_s"] for row in rows)
            for (method, seed), rows in groups(runs, ["method", "seed"]).items()
            if method == "uniform"}  # fmt: skip
    expected = []
    for index, method in enumerate(style.method_order(runs["method"])):
        own = groups(runs[runs["method"] == method], ["seed"])
        ratios = [
            plain.median(r["train_s"] for r in rows) / base[seed] for (seed,), rows in own.items()
        ]
        expected.append((plain.geometric_mean(ratios), index))
    np.testing.assert_allclose(points(figure.axes[0]), sorted(expected))
    logs = [math.log10(ratio) for ratio in ratios]  # of the last method
    half = student.ppf(0.975, 2) * plain.stdev(logs) / math.sqrt(3)
    (_, right) = max(bars(figure.axes[0]), key=lambda bar: bar[0][1])
    assert right == pytest.approx((10 ** (plain.fmean(logs) + half), index))
    assert len(panels(figure)) == 1
    memory = runs.assign(peak_memory_bytes=3e8)
    assert [axis.get_xlabel() for axis in panels(figures.training_cost(memory, "column"))] == [
        "Time / Uniform QAT [–]", "Peak memory [MB]",
    ]  # fmt: skip
    assert {x for x, _ in points(figures.training_cost(memory, "column").axes[1])} == {300.0}


def test_time_without_uniform_training_is_in_seconds(build_runs):
    figure = figures.training_cost(build_runs(tasks=[DIGITS], methods=["ecq"]))
    assert panels(figure)[0].get_xlabel() == "Training time [s]"
    base = pd.DataFrame(
        {"dataset": ["d"], "model": ["m"], "method": ["a"], "seed": [0], "value": [2.0]}
    )
    assert relative_time(base)["value"].isna().all()


def test_cells_of_layers_are_means_over_seeds_of_the_matched_point(runs):
    tensors = make_layers(runs)
    figure = figures.layers(runs, tensors)
    chosen = statistics.matched_runs(runs).set_index(["dataset", "method"])["point"]
    heatmaps = [figure.axes[column].collections[0] for column in (0, 2)]
    order = style.method_order(runs["method"])
    for mesh, column, factor in zip(heatmaps, ("sparsity", "entropy_bits"), (100, 1), strict=True):
        expected = np.zeros((len(order), 4))
        for i, method in enumerate(order):
            own = tensors[
                (tensors["dataset"] == "digits") & (tensors["method"] == method)
                & (tensors["point"] == chosen["digits", method])
            ]  # fmt: skip
            for (position,), rows in groups(own, ["position"]).items():
                expected[i, position] = factor * plain.fmean(row[column] for row in rows)
        np.testing.assert_allclose(np.ma.getdata(mesh.get_array()).astype(float), expected)
    shares = [patch.get_height() for patch in figure.axes[4].patches]
    np.testing.assert_allclose(shares, np.array([10, 100, 1000, 10_000]) / 111.1)


def test_a_method_without_a_finished_run_is_hatched_in_layers(build_runs):
    lost = {("digits", "uniform", step, seed) for step in range(4) for seed in range(3)}
    runs = build_runs(tasks=[DIGITS], methods=["uniform", "ecq"], diverged=lost)
    axis = figures.layers(runs, make_layers(runs)).axes[0]
    hatched = [patch.get_xy() for patch in axis.patches if patch.get_hatch()]
    assert hatched == [(0, 0), (1, 0), (2, 0), (3, 0)]
    uniform, ecq = (label.get_text() for label in axis.get_yticklabels())
    assert uniform == "Uniform QAT no result"
    own = runs[(runs["method"] == "ecq") & (runs["point"] == point_of_ecq(runs))]
    size, accuracy = plain.fmean(own["size_bytes"]) / 1e3, 100 * plain.fmean(own["accuracy"])
    assert ecq.replace("\N{NO-BREAK SPACE}", " ") == f"ECQ {size:.2f} kB, {accuracy:.1f} %"


def point_of_ecq(runs):
    return statistics.matched_runs(runs).set_index("method").loc["ecq", "point"]


def test_shares_of_relevance_are_means_over_seeds(runs):
    relevance = make_relevance(runs)
    figure = figures.relevance_vs_magnitude(relevance, "column")
    shares, correlation = figure.axes[:2]
    own = of(relevance, DIGITS)
    expected = [
        (decile, 100 * plain.fmean(row["relevance_share"] for row in rows))
        for (_, decile), rows in groups(own, ["position", "decile"]).items()
    ]
    np.testing.assert_allclose(points(shares), sorted(expected))
    assert levels(shares) == [10]
    np.testing.assert_allclose(points(correlation), [(1, 0.31), (2, 0.51), (3, 0.71)])
    halves = [
        100 * plain.fmean(row["relevance_share"] for row in rows) * 5
        for rows in groups(own[own["decile"] <= 5], ["position"]).values()
    ]
    assert f"{min(halves):.0f} to {max(halves):.0f} % (digits)" in note_of(figure)


def test_sensitivity_has_a_line_per_method_and_other_settings(runs):
    figure = figures.sensitivity(runs, "lam")
    assert set(legend_labels(figure)) == {"ECQ", "ECQx", "bits 2", "bits 4"}
    axis = panels(figure)[1]
    expected = [
        (lam, 100 * plain.fmean(row["accuracy"] for row in rows))
        for (_, _, lam), rows in groups(
            of(runs, CLUTTERED).dropna(subset="p_lam"), ["method", "bits", "p_lam"]
        ).items()
    ]
    np.testing.assert_allclose(points(axis), sorted(expected))
    # ECQ diverged at its last point on digits, with all seeds: a cross at the bottom
    lost = points(panels(figure)[0], "lost")
    assert lost == [(0.6, 0.03)]


def test_sensitivity_to_what_no_method_varies_says_so(runs):
    for parameter in ("p", "unheard_of"):
        reason = shared.why_nothing(figures.sensitivity(runs, parameter))
        assert reason == f"no method has two values of {parameter.replace('_', ' ')}"


def test_sensitivity_is_labelled_as_the_methods_say(runs):
    declared = pd.DataFrame(
        [
            ["ecq", "lam", "float", "front", "0.1", "λ: weight of the entropy term [–]", None],
            ["ecq", "bits", "int", "front", "4", None, None],
        ],
        columns=METHOD_COLUMNS,
    )

    def label(figure):
        (found,) = {axis.get_xlabel() for axis in panels(figure)} - {""}
        return found

    page = figures.sensitivity(runs, "lam", methods=declared)
    assert label(page) == "λ: weight of the entropy term [–]"
    column = figures.sensitivity(runs, "lam", "column", declared)
    assert label(column) == "λ [–]" and "λ: weight of the entropy term [–]." in note_of(column)
    assert label(figures.sensitivity(runs, "lam")) == "lam"
    bits = figures.sensitivity(runs, "bits", methods=declared)
    assert label(bits) == "bits" and "λ 0.1" in legend_labels(bits)
    swept = runs.rename(columns={"p_qp": "p_step_size"})
    assert label(figures.sensitivity(swept, "step_size")) == "step size"


def test_failed_runs_are_marked_as_diverged_ones_are_and_told_apart(runs):
    lost = (runs["dataset"] == "digits") & (runs["method"] == "ecqx") & (runs["seed"] == 0)
    runs = runs.copy()
    parameters = [name for name in runs if name.startswith("p_")]
    values = ["accuracy", "size_bytes", "compression_ratio", "sparsity", *parameters]
    runs.loc[lost, values] = np.nan
    runs.loc[lost, "status"] = "failed"
    figure = figures.accuracy_vs_size(runs)
    (first, *_) = panels(figure)
    words = [text.get_text() for text in first.texts]
    # one line a word, then a count per method: ECQ and Uniform PTQ diverged, ECQx failed
    assert words == ["diverged", "1", "3", "failed", "5"]
    heights = [text.get_position()[1] for text in first.texts]
    assert heights[0] == heights[1] == heights[2] > heights[3] == heights[4]
    assert "Failed runs: ECQx 5 of 15 (digits)." in note_of(figure)
    more = pd.concat([runs, of(runs, GSC).assign(model="other")], ignore_index=True)
    for other in (figures.training_cost(runs), figures.ranks(more)):
        assert "Failed runs: ECQx 5 of 15 (digits)." in note_of(other)


def test_correlations_agree_with_scipy(runs, attributions):
    lower = attributions.copy()
    turned = lower[lower["metric"] == "ssim"].assign(metric="normalised_l2")
    turned["mean"] = 1 - turned["mean"]
    found, names, counts = correlate(runs, pd.concat([lower, turned]))
    assert names == ["accuracy", *style.metric_order(names[1:])]
    assert set(names[1:]) == {*attributions["metric"], "normalised_l2"}
    assert len(found) == 8 and set(counts) == {26, 27}
    matrix = found[CLUTTERED, "grad_cam"]
    one = mean_by_point(attributions, "grad_cam", "cosine")
    other = mean_by_point(attributions, "grad_cam", "topk_iou")
    expected = spearmanr([one[key] for key in one], [other[key] for key in one]).statistic
    at = names.index
    assert matrix[at("cosine"), at("topk_iou")] == pytest.approx(expected)
    # less is better: turned around
    assert matrix[at("ssim"), at("normalised_l2")] == pytest.approx(1)
    assert np.isnan(found[DIGITS, LRP][at("auc")]).all()


def mean_by_point(attributions, explainer, metric):
    wanted = (explainer, metric, "all", True)
    keys = ["explainer", "metric", "subset", "signed", "method", "point"]
    return {
        key[4:]: plain.fmean(row["mean"] for row in rows)
        for key, rows in groups(of(attributions, CLUTTERED), keys).items()
        if key[:4] == wanted and key[5] != "anchor"
    }


@pytest.mark.parametrize("width", style.WIDTHS)
def test_controls_show_the_differences_of_the_table(width):
    runs = make_controls()
    figure = figures.controls_of_relevance(runs, controls.paired_differences(runs), width)
    axes = panels(figure)
    assert [axis.get_title() for axis in axes] == [
        "All sources", "LRP − Shuffled LRP", "LRP − None (ECQ)", "LRP − own source",
    ]  # fmt: skip
    assert len(points(axes[0])) == 4 * 3
    np.testing.assert_allclose([y for _, y in points(axes[1])], 2.0)
    np.testing.assert_allclose([y for _, y in points(axes[2])], 1.0)
    assert "paired seeds" in note_of(figure)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("case", "width"),
    [
        ("read back", "page"),
        ("empty", "page"),
        ("empty", "column"),
        ("all diverged", "page"),
        ("no reference", "column"),
        ("two seeds", "column"),
        ("one point", "page"),
    ],
)
def test_figures_can_be_drawn_of_odd_tables(case, width, build_runs, build_attributions):
    runs = build_runs(tasks=[DIGITS, GSC], methods=["ecq", "wcam"], seeds=(0, 1))
    if case == "one point":
        runs = build_runs(tasks=[GSC], methods=["x"], extra={"x": [{"bits": 4}]}, seeds=(3,))
    attributions, tensors = build_attributions(runs), make_layers(runs)
    relevance = make_relevance(runs)
    if case == "empty":
        runs, attributions, tensors, relevance = (
            frame.iloc[:0] for frame in (runs, attributions, tensors, relevance)
        )
    if case in ("all diverged", "no reference"):
        runs["status"] = "diverged"
        runs[["accuracy", "size_bytes", "compression_ratio", "sparsity", "entropy_bytes"]] = np.nan
        attributions = attributions[attributions["point"] == "anchor"]
        tensors = tensors.iloc[:0]
    if case == "no reference":
        runs["accuracy_fp32"] = np.nan
    if case != "two seeds":
        runs, attributions = as_read_back(runs), as_read_back(attributions)
        names = ["dataset", "model", "method", "point", "explainer", "metric", "subset"]
        attributions = attributions.astype(dict.fromkeys(names, "category"))
    for figure in (
        figures.accuracy_vs_size(runs, width),
        figures.accuracy_vs_sparsity(runs, width),
        figures.consistency_vs_size(runs, attributions, "cosine", width=width),
        figures.localisation_vs_size(runs, attributions, width=width),
        figures.faithfulness_vs_size(runs, make_gains(runs), width=width),
        figures.accuracy_vs_consistency(runs, attributions, "cosine", width=width),
        figures.metric_correlations(runs, attributions, width),
        figures.layers(runs, tensors, width),
        figures.relevance_vs_magnitude(relevance, width),
        figures.sensitivity(runs, "lam", width),
        figures.training_cost(runs, width),
        figures.ranks(runs, width),
    ):
        assert style.render(figure, "png", dpi=40).startswith(b"\x89PNG")
        if case == "empty":
            assert shared.why_nothing(figure)


def head(axis):
    return axis.get_title().replace("\N{NO-BREAK SPACE}", " ").split("\n")


def test_gallery_has_a_row_per_sample_and_a_column_per_method(runs):
    images, reference, selected, maps = gallery_input(runs)
    masks = np.zeros((3, 8, 8), dtype=bool)
    masks[:, 2:5, 2:5] = True
    figure = figures.gallery(images, reference, selected, maps, LRP, masks, ["a", "b", "c"])
    grid = np.array(figure.axes).reshape(3, 9)[:, :8]  # the last column is the color bar's
    assert [" ".join(head(axis)[:-2]) for axis in grid[0, 1:]] == ["Full precision", *METHODS]
    run = selected.set_index("method").loc["ecqx"]
    assert head(grid[0, 5])[1:] == [
        f"{run['size_bytes'] / 1e3:.1f} kB", f"{run['accuracy'] * 100:.1f} %",
    ]  # fmt: skip
    assert head(grid[0, 1])[-2:] == ["310 kB", f"{run['accuracy_fp32'] * 100:.1f} %"]
    assert [axis.get_ylabel() for axis in grid[:, 0]] == ["a", "b", "c"]
    assert note_of(figure).startswith("cluttered digits / small VGG, LRP ε-plus-flat, seed 0")
    assert all(len(axis.collections) == 1 for axis in grid.ravel())  # the outline
    shown = grid[1, 5].images[0]
    assert shown.get_clim() == (-1, 1)
    expected = maps["ecqx"][1] / np.abs(maps["ecqx"][1]).max()
    np.testing.assert_allclose(shown.get_array(), expected)


def test_names_of_classes_are_shown_as_they_are(runs):
    names = ["cost_$5_vs_$6", r"\alpha_{1} = 50% #$", "$x$"]
    images, reference, selected, maps = gallery_input(runs)
    figure = figures.gallery(images, reference, selected, maps, LRP, None, names)
    figure.savefig(io.BytesIO(), format="png")
    figure.savefig(io.BytesIO(), format="pdf")
    labels = [axis.yaxis.label for axis in figure.axes if axis.get_ylabel() in names]
    assert [label.get_text() for label in labels] == names
    assert not any(label.get_parse_math() for label in labels)


def test_gallery_of_a_column_has_a_row_per_method(runs):
    images, reference, selected, maps = gallery_input(runs)
    figure = figures.gallery(images, reference, selected, maps, LRP, None, list("abc"), "column")
    grid = np.array(figure.axes).reshape(8, 4)[:, :3]
    assert [axis.get_title() for axis in grid[0]] == ["a", "b", "c"]
    names = [texts(axis)[0].split("\n")[0] for axis in grid[:, 0]]
    assert names == ["Input", "Full precision", *METHODS]
    expected = maps["wcam"][2] / np.abs(maps["wcam"][2]).max()
    np.testing.assert_allclose(grid[6, 2].images[0].get_array(), expected)


def test_gallery_marks_methods_without_maps_and_survives_degenerate_ones(runs):
    images, reference, selected, maps = gallery_input(runs, (3, 15, 49), "spoken_keywords")
    del maps["wcam"]
    maps["ecq"][:] = 0
    maps["ecqx"][0, 0, 0] = np.nan
    figure = figures.gallery(images, reference, selected, maps, "gradient_x_input")
    grid = np.array(figure.axes).reshape(3, 9)
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
    figure = figures.gallery(images, reference, selected, maps, LRP)
    assert figure.axes[3].get_title().split("\n")[:2] == ["WCAM", "no result"]


def test_gallery_refuses_what_does_not_fit(runs):
    images, reference, selected, maps = gallery_input(runs)
    with pytest.raises(ValueError, match=r"images: shape \(3, 8, 8\)"):
        figures.gallery(images[:, 0], reference, selected, maps, LRP)
    with pytest.raises(ValueError, match="reference_maps: shape"):
        figures.gallery(images, reference[:2], selected, maps, LRP)
    with pytest.raises(ValueError, match="2 names for 3 samples"):
        figures.gallery(images, reference, selected, maps, LRP, row_labels=["a", "b"])
    with pytest.raises(ValueError, match="3 tasks"):
        figures.gallery(images, reference, statistics.matched_runs(runs), maps, LRP)
