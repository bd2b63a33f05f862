"""What compression does to explanations: consistency with full precision, and localisation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ecqx.results import statistics, style
from ecqx.results.figures import panels

LOCALISATION_METRICS = ("auc", "pointing_game")
_ROW = [*statistics.RUN, "explainer", "metric", "subset", "signed", "mean"]
# Greys of their own line styles: anchors are no methods.
_ANCHOR_LOOKS = {
    "identical": ("full precision itself", "0.15", (0, (6, 2))),
    "retrained": ("retrained from another seed", "0.4", (0, (2, 1))),
    "random": ("random network", "0.6", (0, (1, 1.5))),
}


def consistency_vs_size(
    runs: pd.DataFrame,
    attributions: pd.DataFrame,
    metric: str = "cosine",
    subset: str = "all",
    signed: bool = True,
) -> Figure:
    """Agreement of attributions with full precision against artefact size [kB, log].

    A row per explainer, a column per task. A marker is the mean over seeds of the mean over
    samples, bars are 95 % t-intervals over seeds, lines join a method's points by size. Horizontal
    lines with bands are the anchors: the identical network, one retrained from another seed, and
    a random one.

    Parameters
    ----------
    runs, attributions : DataFrame
        As runs.csv and attributions.csv.
    metric : str
        One of the metrics of ``attributions``.
    subset : {"all", "both_correct"}
        All samples, or those that both networks classify correctly.
    signed : bool
        Signed maps, or their absolute values.
    """
    with style.context():
        rows = _selected(runs, attributions, [metric], subset, signed)
        styles = style.method_styles(runs["method"])
        tasks = panels.tasks_of(runs)
        explainers = list(rows["explainer"].unique())
        figure, grid = _grid(len(explainers), len(tasks))
        if not explainers or not tasks:
            panels.empty_panel(grid[0, 0], f"no results of {style.label(metric)}")
            return figure
        for i, explainer in enumerate(explainers):
            of_explainer = rows[rows["explainer"] == explainer]
            span = panels.limits(of_explainer["mean"], least=0.02)
            for j, task in enumerate(tasks):
                here = panels.of_task(of_explainer, task)
                axis = grid[i, j]
                drawn = _panel(axis, here, styles, panels.of_task(rows, task))
                if not drawn:
                    panels.empty_panel(axis, "no results of this\nexplainer on this network")
                axis.set_ylim(*span)
                if j == 0 or not grid[i, j - 1].axison:
                    axis.set_ylabel(f"{style.label(explainer)}\n{style.label(metric)} [–]")
        for j, task in enumerate(tasks):
            grid[0, j].set_title(panels.heading(task))
        _label_sizes(grid)
        maps = "signed" if signed else "absolute"
        _finish(figure, rows, runs, styles, f"{maps} maps, {_subset_words(subset)}")
        return figure


def localisation_vs_size(
    runs: pd.DataFrame,
    attributions: pd.DataFrame,
    metrics: tuple[str, ...] = LOCALISATION_METRICS,
    subset: str = "all",
    signed: bool = True,
) -> Figure:
    """How well attributions find the object's mask against artefact size [kB, log].

    A row per metric, a column per task with masks and explainer. Drawn as consistency_vs_size; the
    dashed line is the level of full precision itself.

    Parameters
    ----------
    runs, attributions : DataFrame
        As runs.csv and attributions.csv.
    metrics : tuple of str
        Localisation metrics of ``attributions``; those without any row are left out.
    subset, signed
        As for consistency_vs_size.
    """
    with style.context():
        rows = _selected(runs, attributions, list(metrics), subset, signed)
        styles = style.method_styles(runs["method"])
        metrics = [metric for metric in metrics if (rows["metric"] == metric).any()]
        columns = [
            (task, explainer)
            for task in panels.tasks_of(rows)
            for explainer in panels.of_task(rows, task)["explainer"].unique()
        ]
        figure, grid = _grid(len(metrics), len(columns))
        if not columns:
            panels.empty_panel(grid[0, 0], "no localisation results: no data set with masks")
            return figure
        for i, metric in enumerate(metrics):
            of_metric = rows[rows["metric"] == metric]
            span = panels.limits(of_metric["mean"], least=0.02)
            for j, (task, explainer) in enumerate(columns):
                here = panels.of_task(of_metric, task)
                axis = grid[i, j]
                here = here[here["explainer"] == explainer]
                if not _panel(axis, here, styles, panels.of_task(rows, task)):
                    panels.empty_panel(axis, "no results")
                axis.set_ylim(*span)
                if j == 0:
                    axis.set_ylabel(f"{style.label(metric)} [–]")
        for j, (task, explainer) in enumerate(columns):
            grid[0, j].set_title(f"{panels.heading(task)}\n{style.label(explainer)}")
        _label_sizes(grid)
        maps = "signed" if signed else "absolute"
        _finish(figure, rows, runs, styles, f"{maps} maps, {_subset_words(subset)}")
        return figure


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
    return rows


def _grid(rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    if not rows or not columns:  # room for one line that says so
        rows, columns, height = 1, 1, 0.8
    else:
        height = (2.0 if columns == 1 else 1.55) * rows + 1.2
    figure = Figure(figsize=(panels.width_of(columns), height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _panel(axis: Axes, rows: pd.DataFrame, styles: dict, of_task: pd.DataFrame) -> bool:
    """Draw methods and anchors; False if there is nothing. The x range is that of the task."""
    anchor = rows["method"].isin(statistics.ANCHORS)
    levels = statistics.aggregate(rows[anchor], ["method"], ["mean"]).set_index("method")
    for name in statistics.ANCHORS:
        if name in levels.index and np.isfinite(levels.loc[name, "mean_mean"]):
            level, width = levels.loc[name, ["mean_mean", "mean_half_width"]]
            _, color, dashes = _ANCHOR_LOOKS[name]
            axis.axhline(level, color=color, ls=dashes, lw=0.9, zorder=1)
            if np.isfinite(width):
                axis.axhspan(
                    level - width, level + width, color=color, alpha=0.15, lw=0, zorder=0.5
                )
    rows = rows[~anchor]
    panels.seed_cloud(axis, rows, "size", "mean", styles)
    points = statistics.aggregate(rows, ["method", "point"], ["size", "mean"])
    for method, look in styles.items():
        own = points[(points["method"] == method)].sort_values("size_mean")
        own = own[np.isfinite(own["size_mean"]) & np.isfinite(own["mean_mean"])]
        axis.plot(
            own["size_mean"], own["mean_mean"], color=look.color, ls=look.linestyle, lw=0.8,
            marker=look.marker, markersize=3.5, zorder=2.5,
        )  # fmt: skip
        axis.errorbar(
            own["size_mean"], own["mean_mean"], xerr=own["size_half_width"],
            yerr=own["mean_half_width"], fmt="none", ecolor=look.color, elinewidth=0.7,
            capsize=1.2, capthick=0.6, alpha=0.8, zorder=2.2,
        )  # fmt: skip
    panels.size_axis(axis, of_task["size"])
    axis.set_xlabel("")
    axis.set_ylabel("")
    return bool(len(levels) or len(points))


def _label_sizes(grid: np.ndarray) -> None:
    """Size label and tick labels under the lowest panel of each column that holds data."""
    for column in grid.T:
        filled = [axis for axis in column if axis.axison]
        for axis in filled[:-1]:
            axis.tick_params(labelbottom=False)
        if filled:
            filled[-1].set_xlabel("Size [kB]")


def _subset_words(subset: str) -> str:
    return {
        "all": "all samples of the evaluation subset",
        "both_correct": "samples that both networks classify correctly",
    }.get(subset, subset)


def _finish(
    figure: Figure, rows: pd.DataFrame, runs: pd.DataFrame, styles: dict, what: str
) -> None:
    handles = panels.method_handles(styles)
    for name in statistics.ANCHORS:
        if (rows["method"] == name).any():
            words, color, dashes = _ANCHOR_LOOKS[name]
            handles.append(Line2D([], [], color=color, ls=dashes, lw=0.9, label=words.capitalize()))
    panels.legend(figure, handles)
    keys = [*statistics.POINT, "explainer", "metric"]
    counts = statistics.aggregate(rows, keys, ["mean"])["mean_n"]
    panels.note(
        figure,
        panels.statistics_note(counts, "bars and bands"),
        f"Values: mean over {what}. 1 kB = 1000 bytes.",
        panels.absence_note(runs, styles),
    )
