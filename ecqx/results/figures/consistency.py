"""What compression does to explanations: their consistency, localisation and faithfulness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ecqx.results import statistics, style
from ecqx.results.figures import panels
from ecqx.results.figures.layout import Page, grid_of_blocks
from ecqx.results.gains import MEASURES, as_measures
from ecqx.results.keys import of_task, tasks_of
from ecqx.results.metrics import bounds

_ROW = [*statistics.RUN, "explainer", "metric", "subset", "signed", "mean"]
# Greys of their own line styles: anchors are no methods.
_ANCHOR_LOOKS = {
    "identical": ("full precision itself", "0.15", (0, (6, 2))),
    "retrained": ("retrained from another seed", "0.4", (0, (2, 1))),
    "random": ("random network", "0.6", (0, (1, 1.5))),
}
_TASKS_ACROSS = 6
_ROOMY_ROWS = 4  # with more rows panels are lower, and single seeds would fill them
_IN_A_COLUMN = 2  # explainers that a column has room for
# The measures that tell methods apart. The pointing game is near its best value for most networks,
# and the mass follows how much of a map is positive.
_TELLING = ("auc", "relevance_rank")
_AROUND_ZERO = ("evidence",)  # differences: on which side of zero they are is what they say
_SCALE = 0.75  # of markers and lines: these panels are small
_ONE_PER_FAMILY = ("lrp_epsilon_plus_flat", "grad_cam", "gradient_x_input")


def consistency_vs_size(
    runs: pd.DataFrame,
    attributions: pd.DataFrame,
    metric: str,
    subset: str = "all",
    signed: bool = True,
    width: str = "page",
) -> Figure:
    """Agreement of attributions with full precision against artefact size [kB, log].

    A marker is the mean over seeds of the mean over samples, bars are 95 % t-intervals over seeds.
    A line joins the points on the method's front of accuracy on validation data and size; others
    are small and pale, without interval. Horizontal lines with bands are the anchors: the identical
    network, one retrained from another seed, and a random one.

    Parameters
    ----------
    runs, attributions : DataFrame, as runs.csv and attributions.csv.
    metric : str, one of the metrics of ``attributions``.
    subset : {"all", "both_correct"}; all samples, or those that both networks classify correctly.
    signed : bool, signed maps, or their absolute values.
    width : {"page", "column"}; a row per explainer and a column per task; or two explainers side by
        side, a row per task.
    """
    with style.context():
        rows = _selected(runs, attributions, [metric], subset, signed)
        styles = panels.styles_of(runs)
        tasks = tasks_of(runs)
        explainers = style.explainer_order(rows["explainer"].unique())
        if width == "column":
            explainers = selection(explainers, _IN_A_COLUMN)
        if not explainers or not tasks:
            return panels.nothing(width, f"no results of {style.label(metric)}")
        spans = {
            name: panels.limits(rows.loc[rows["explainer"] == name, "mean"], least=0.02)
            for name in explainers
        }
        page = _page(width, explainers, tasks)
        crowded = len(page.grid) > _ROOMY_ROWS
        drawn = _Panels(rows, styles, crowded)
        scaled: set[int] = set()  # rows of which a panel shows the numbers of the vertical axis
        for axis, explainer, task, place in _cells(page, width, explainers, tasks):
            found = drawn.draw(axis, task, explainer, metric)
            if not found:
                reason = "no results of this\nexplainer on this network"
                panels.empty_panel(axis, reason, labelled=place[1] == 0)
            panels.linear_axis(axis, *spans[explainer])
            _label(page, axis, place, style.label(metric), explainer, task, width)
            if width == "page":
                axis.tick_params(labelleft=found and place[0] not in scaled)
            if found:
                scaled.add(place[0])
        return _finish(
            page, rows, runs, styles, f"{style.label(metric)} [–] of ", subset, signed, crowded
        )


def localisation_vs_size(
    runs: pd.DataFrame,
    attributions: pd.DataFrame,
    metrics: Sequence[str] = _TELLING,
    subset: str = "all",
    signed: bool = True,
    width: str = "page",
) -> Figure:
    """How well attributions find the object's mask against artefact size [kB, log].

    Drawn as consistency_vs_size; the dashed line is the level of full precision itself. Tasks
    without masks are left out.

    Parameters
    ----------
    runs, attributions : DataFrame, as runs.csv and attributions.csv.
    metrics : sequence of str, localisation metrics of ``attributions``; those without any row are
        left out.
    subset, signed : as for consistency_vs_size.
    width : {"page", "column"}; a row per task and explainer and a column per metric; a column has
        room for two metrics and two explainers.
    """
    with style.context():
        rows = _selected(runs, attributions, list(metrics), subset, signed)
        nothing = "no localisation results: no data set with masks"
        return _by_measure(rows, runs, metrics, subset, signed, width, nothing)


def faithfulness_vs_size(
    runs: pd.DataFrame, gains: pd.DataFrame, signed: bool = True, width: str = "page"
) -> Figure:
    """Whether maps point at what networks decide by, against artefact size [kB, log].

    Drawn as localisation_vs_size, see there. A column per measure: the gain of a network by its own
    map, and how much more that is than the gain by full precision's map, where 0 says that both
    tell alike what the compressed network decides by.

    Parameters
    ----------
    runs, gains : DataFrame, as runs.csv and gains.csv.
    signed : bool, signed maps, or their absolute values.
    width : {"page", "column"}
    """
    with style.context():
        rows = _selected(runs, as_measures(gains), list(MEASURES), "all", signed)
        nothing = "the faithfulness of maps was not measured"
        return _by_measure(rows, runs, list(MEASURES), "occluded", signed, width, nothing)


def _by_measure(
    rows: pd.DataFrame, runs: pd.DataFrame, metrics: Sequence[str], subset: str, signed: bool,
    width: str, nothing: str,
) -> Figure:  # fmt: skip
    """A row per task and explainer, a column per metric; what to say if there is no row."""
    styles = panels.styles_of(runs)
    metrics = [metric for metric in metrics if (rows["metric"] == metric).any()]
    explainers = style.explainer_order(rows["explainer"].unique())
    if width == "column":
        metrics, explainers = metrics[:_IN_A_COLUMN], selection(explainers, _IN_A_COLUMN)
    lines = [
        (task, explainer)
        for task in tasks_of(runs)
        for explainer in explainers
        if (of_task(rows, task)["explainer"] == explainer).any()
    ]
    if not lines or not metrics:
        return panels.nothing(width, nothing)
    tasks = list(dict.fromkeys(task for task, _ in lines))
    crowded = len(lines) > _ROOMY_ROWS
    page = Page(width, [0.85 if crowded else 1.15] * len(lines), len(metrics))
    drawn = _Panels(rows, styles, crowded)
    spans = {}
    for name in metrics:
        values = rows.loc[rows["metric"] == name, "mean"]
        zero = [0.0] if name in _AROUND_ZERO else []
        spans[name] = panels.limits([*values, *zero], least=0.02)
    for i, (task, explainer) in enumerate(lines):
        for j, metric in enumerate(metrics):
            axis = page.grid[i, j]
            if metric in _AROUND_ZERO:
                axis.axhline(0, color="0.3", lw=0.7, zorder=1)
            if not drawn.draw(axis, task, explainer, metric):
                panels.empty_panel(axis, "no results")
            panels.linear_axis(axis, *spans[metric])
            if i == 0:
                page.title(axis, f"{style.label(metric)} [–]")
            if j == 0:
                axis.set_ylabel(page.fold(style.label(explainer), i))
            if i == len(lines) - 1:
                axis.set_xlabel("Size [kB]")
            elif lines[i + 1][0] == task:
                axis.tick_params(labelbottom=False)
        if len(tasks) > 1 and (i == 0 or lines[i - 1][0] != task):
            page.title_row(i, panels.heading(task))
    what = "" if len(tasks) > 1 else f"{panels.heading(tasks[0])}: "
    return _finish(page, rows, runs, styles, what, subset, signed, crowded)


def selection(explainers: Sequence[str], count: int) -> list[str]:
    """The ``count`` explainers to show where there is no room for all: one of each family first."""
    first = [name for name in _ONE_PER_FAMILY if name in explainers]
    return [*first, *(name for name in explainers if name not in first)][:count]


def _selected(
    runs: pd.DataFrame,
    attributions: pd.DataFrame,
    metrics: list[str],
    subset: str,
    signed: bool,
) -> pd.DataFrame:
    """Rows to draw, with the size in kB of their run (NaN for anchors)."""
    statistics.require_columns(runs, [*statistics.RUN, "status", "size_bytes"], "runs")
    statistics.require_columns(attributions, _ROW, "attributions")
    rows = attributions[
        attributions["metric"].isin(metrics)
        & (attributions["subset"] == subset)
        & (attributions["signed"].astype(bool) == signed)
    ]
    sizes = runs.loc[runs["status"] == "ok", [*statistics.RUN, "size_bytes"]]
    rows = rows[_ROW].merge(sizes, on=statistics.RUN, how="left", validate="many_to_one")
    rows["size"] = rows.pop("size_bytes").astype(float) / panels.KILOBYTE
    points = panels.points_with_fronts(runs)[[*statistics.POINT, "own_front"]]
    rows = rows.merge(points, on=statistics.POINT, how="left")
    return rows.assign(own_front=rows["own_front"].eq(True))


def _page(width: str, explainers: list[str], tasks: list) -> Page:
    if width == "column":
        return Page(width, [1.0] * len(tasks), len(explainers))
    blocks, columns = grid_of_blocks(len(tasks), _TASKS_ACROSS)
    rows = len(explainers) * blocks
    return Page(width, [1.2 if rows <= _ROOMY_ROWS else 0.85] * rows, columns)


def _cells(page: Page, width: str, explainers: list[str], tasks: list):
    """(axis, explainer, task, (first of its row, first, last of its column)) of every panel."""
    rows, columns = page.grid.shape
    if width == "column":
        for i, task in enumerate(tasks):
            for j, explainer in enumerate(explainers):
                yield page.grid[i, j], explainer, task, (i, j, i == 0, i == rows - 1)
        return
    for index in range(-(-len(tasks) // columns) * columns):
        block, j = divmod(index, columns)
        for k, explainer in enumerate(explainers):
            axis = page.grid[block * len(explainers) + k, j]
            if index >= len(tasks):
                panels.empty_panel(axis, "")
            else:
                last = k == len(explainers) - 1
                yield axis, explainer, tasks[index], (block * len(explainers) + k, j, k == 0, last)


def _label(page: Page, axis: Axes, place, metric: str, explainer: str, task, width: str) -> None:
    row, column, first, last = place
    if width == "column":
        if column == 0:
            page.title_row(row, panels.heading(task))
            axis.set_ylabel(page.fold(f"{metric} [–]", row))
        if first:
            page.title(axis, style.label(explainer))
        if last:
            axis.set_xlabel("Size [kB]")
        return
    if first:
        page.title(axis, panels.heading(task))
    if column == 0:
        axis.set_ylabel(page.fold(style.label(explainer), row))
    if last:
        axis.set_xlabel("Size [kB]")
    else:
        axis.tick_params(labelbottom=False)


@dataclass(frozen=True)
class _Drawn:
    """What one panel shows: anchors and operating points as means over seeds, and single seeds."""

    levels: pd.DataFrame
    points: pd.DataFrame
    seeds: pd.DataFrame


class _Panels:
    """The rows of all panels, aggregated and taken apart once."""

    def __init__(self, rows: pd.DataFrame, styles: dict, crowded: bool) -> None:
        keys = [*statistics.TASK, "explainer", "metric"]
        anchor = rows["method"].isin(statistics.ANCHORS)
        levels = statistics.aggregate(rows[anchor], [*keys, "method"], ["mean"])
        points = statistics.aggregate(
            rows[~anchor], [*keys, "method", "point", "own_front"], ["size", "mean"]
        )
        points = points[np.isfinite(points["size_mean"]) & np.isfinite(points["mean_mean"])]
        self._parts = [_by(frame, keys) for frame in (levels, points, rows[~anchor])]
        self._sizes = _by(rows[~anchor], statistics.TASK)
        self._styles, self._crowded = styles, crowded

    def draw(self, axis: Axes, task: tuple[str, str], explainer: str, metric: str) -> bool:
        """False if there is nothing to draw. The range of sizes is that of the task."""
        key = (*task, explainer, metric)
        levels, points, seeds = (part.get(key) for part in self._parts)
        if levels is not None:
            levels = levels.set_index("method")
            for name in statistics.ANCHORS:
                if name in levels.index:
                    mean, half_width = levels.loc[name, ["mean_mean", "mean_half_width"]]
                    looks = _ANCHOR_LOOKS[name][1:]
                    panels.level(axis, mean, half_width, *looks, bounds=bounds(metric))
        if seeds is not None and not self._crowded:
            panels.seed_cloud(axis, seeds, "size", "mean", self._styles)
        if points is not None:
            self._points(axis, points, bounds(metric))
        sizes = self._sizes.get(task)
        panels.size_axis(axis, [] if sizes is None else sizes["size"], minor=not self._crowded)
        return levels is not None or points is not None

    def _points(self, axis: Axes, points: pd.DataFrame, within: tuple[float, float]) -> None:
        for method, own in _by(points.sort_values("size_mean"), ["method"]).items():
            look = self._styles[method]
            front, off = own[own["own_front"]], own[~own["own_front"]]
            panels.curve(axis, front["size_mean"], front["mean_mean"], look, _SCALE)
            panels.bars(
                axis, front["size_mean"], front["mean_mean"], front["size_half_width"],
                front["mean_half_width"], look.color, x_bounds=panels.POSITIVE, y_bounds=within,
            )  # fmt: skip
            panels.marks(axis, front["size_mean"], front["mean_mean"], look, _SCALE)
            panels.marks(axis, off["size_mean"], off["mean_mean"], look, _SCALE, faint=True)


def _by(frame: pd.DataFrame, keys: list[str]) -> dict:
    """Rows by their keys: a tuple of several, the value of a single one."""
    groups = frame.groupby(keys if len(keys) > 1 else keys[0], observed=True, sort=False)
    return dict(iter(groups))


def _finish(
    page: Page, rows: pd.DataFrame, runs: pd.DataFrame, styles: dict, what: str, subset: str,
    signed: bool, crowded: bool,
) -> Figure:  # fmt: skip
    others = [panels.off_front_handle()]
    for name in statistics.ANCHORS:
        if (rows["method"] == name).any():
            words, color, dashes = _ANCHOR_LOOKS[name]
            others.append(Line2D([], [], color=color, ls=dashes, lw=0.9, label=words.capitalize()))
    keys = [*statistics.POINT, "explainer", "metric"]
    counts = statistics.aggregate(rows, keys, ["mean"])["mean_n"]
    words = {
        "all": "all samples of the evaluation subset",
        "both_correct": "samples that both networks classify correctly",
        "occluded": "the samples that were occluded",
    }.get(subset, subset)
    maps = "signed" if signed else "absolute"
    return page.finish(
        panels.with_others(panels.method_handles(styles), others),
        f"{what}{maps} maps, mean over {words}.",
        panels.seeds_note(counts, cut="the bounds of the measure"),
        "" if crowded else "Faint: single seeds.",
        "Lines join the front of size and accuracy on validation data.",
        panels.UNITS_NOTE,
        panels.absence_note(runs, styles),
    )
