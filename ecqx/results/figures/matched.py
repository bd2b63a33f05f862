"""Accuracy against consistency of explanations, between methods at equal size."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ecqx.results import statistics, style
from ecqx.results.figures import panels
from ecqx.results.figures.consistency import selection
from ecqx.results.figures.layout import Page, grid_of_blocks
from ecqx.results.keys import of_task, tasks_of

_EXPLAINERS = {"page": 3, "column": 1}
_TASKS_ACROSS = 3
_SIZES = 3
_BELOW = 8.0  # percentage points below full precision that are shown
_MARKER_SIZES = (5.5, 4.0, 2.6)  # points, from the largest network to the smallest
_ANCHOR = "0.4"


def accuracy_vs_consistency(
    runs: pd.DataFrame, attributions: pd.DataFrame, metric: str = "cosine", width: str = "page"
) -> Figure:
    """Test accuracy [%] against agreement of attributions with full precision, at equal sizes.

    Each method has a marker at each of three compression ratios, the same for all methods of a
    task, from large to small as the network shrinks: the least, the middle and the highest of the
    ratios that the most methods reach with every seed. Values are read off the front of each
    seed (:func:`statistics.at_ratios`); bars are 95 % t-intervals over seeds.

    Parameters
    ----------
    runs, attributions : DataFrame, as runs.csv and attributions.csv; all samples, signed maps.
    metric : str
    width : {"page", "column"}; up to three explainers, a row each, and a column per task; or one,
        and a row per task.
    """
    with style.context():
        table, explainers = _read_off(runs, attributions, metric)
        explainers = selection(explainers, _EXPLAINERS[width])
        tasks = tasks_of(runs)
        styles = style.method_styles(runs["method"])
        if not explainers or not tasks:
            return panels.nothing(width, f"no results of {style.label(metric)}")
        anchors = statistics.anchor_means(attributions)
        across = _TASKS_ACROSS if width == "page" else 1
        blocks, columns = grid_of_blocks(len(tasks), across)
        page = Page(width, [1.35] * (blocks * len(explainers)), columns)
        for axis in page.grid.flat:
            panels.empty_panel(axis, "")
        counts, notes = [], []
        for index, task in enumerate(tasks):
            block, column = divmod(index, columns)
            here = of_task(table, task)
            ratios = _common_ratios(here)
            shown = here[here["ratio"].isin(ratios)]
            if ratios:
                notes.append(f"{task[0]}: {', '.join(f'{ratio:g}' for ratio in ratios)}")
            for k, explainer in enumerate(explainers):
                axis = page.grid[block * len(explainers) + k, column]
                values = shown.rename(columns={explainer: "consistency"})
                if not np.isfinite(values["consistency"].astype(float)).any():
                    axis.texts[0].set_text("no results of this\nexplainer on this network")
                    continue
                axis.texts[0].remove()
                axis.set_axis_on()
                counts += _panel(axis, values, ratios, styles, _floor(runs, task))
                level = of_task(anchors, task)
                level = level[
                    (level["explainer"] == explainer)
                    & (level["metric"] == metric)
                    & level["signed"].astype(bool)
                ]["retrained"].mean()
                if np.isfinite(level):
                    axis.axvline(level, color=_ANCHOR, ls=(0, (2, 1)), lw=0.9, zorder=1)
                    _, right = axis.get_xlim()
                    if level > right:
                        axis.set_xlim(right=level + 0.02)
                if column == 0:
                    axis.set_ylabel("Accuracy [%]")
                axis.set_xlabel(f"{style.label(metric)} [–]" if explainer == explainers[-1] else "")
                name = style.label(explainer)
                if width == "page" and len(explainers) > 1:
                    name = f"{panels.heading(task)}\n{name}" if k == 0 else name
                else:
                    name = f"{panels.heading(task)}, {name}"
                page.title(axis, name)
        handles = panels.method_handles(styles, lines=False)
        for size, words in zip(_MARKER_SIZES, ("Least compressed", "Between", "Most"), strict=True):
            handles.append(
                Line2D([], [], ls="none", marker="o", color="0.6", markersize=size, label=words)
            )
        handles.append(
            Line2D([], [], color=_ANCHOR, ls=(0, (2, 1)), lw=0.9, label="Retrained network")
        )
        missing = _missing(table, tasks, styles)
        return page.finish(
            handles,
            panels.seeds_note(counts),
            f"Equal compression ratios: {'; '.join(notes)}." if notes else "",
            f"Not that small or not that large: {missing}." if missing else "",
            "Without a line, the retrained network is further left.",
            f"Hollow, at the edge: more than {_BELOW:g} points below full precision.",
            "Signed maps, all samples of the evaluation subset.",
        )


def _read_off(
    runs: pd.DataFrame, attributions: pd.DataFrame, metric: str
) -> tuple[pd.DataFrame, list[str]]:
    """Accuracy and, in a column per explainer, consistency at common ratios; the explainers."""
    measures = statistics.measures_per_run(runs, attributions)
    chosen = [key for key in measures.columns if key[1] == metric and bool(key[2])]
    values = pd.DataFrame({key[0]: measures[key] for key in chosen}, index=measures.index)
    return statistics.at_ratios(runs, values), style.explainer_order(values.columns)


def _common_ratios(table: pd.DataFrame) -> list[float]:
    """Three ratios (fewer if there are no three) that the most methods reach with every seed."""
    if table.empty:
        return []
    reached = (
        table.assign(known=table["accuracy"].notna())
        .groupby(["ratio", "method"], observed=True)["known"]
        .all()
        .groupby("ratio")
        .sum()
    )
    best = reached[(reached == reached.max()) & (reached > 0)].index.to_numpy(float)
    if not best.size:
        return []
    picked = np.linspace(0, best.size - 1, _SIZES).round().astype(int)
    return sorted(set(best[picked].tolist()))


def _panel(
    axis: Axes, values: pd.DataFrame, ratios: list[float], styles: dict, floor: float
) -> list[int]:
    """Draw every method; the counts of seeds of what was drawn.

    What is less accurate than ``floor`` per cent is drawn hollow on the lower edge, on the left one
    too if it is less consistent than all that is drawn above.
    """
    values = values.assign(consistency=values["consistency"].astype(float))
    means = statistics.aggregate(values, ["method", "ratio"], ["accuracy", "consistency"])
    means = means[(means["accuracy_n"] > 0) & (means["consistency_n"] > 0)]
    x, y = means["consistency_mean"], 100 * means["accuracy_mean"]
    inside = y >= floor if (y >= floor).any() else y > -np.inf
    x_span = panels.limits(x[inside], margin=0.1, least=0.01)
    y_span = panels.limits(y[inside], margin=0.12, least=0.5)
    for method, look in styles.items():
        own = means[means["method"] == method].sort_values("ratio")
        at_x, at_y = own["consistency_mean"], 100 * own["accuracy_mean"]
        axis.plot(at_x, at_y, color=look.color, lw=0.6, zorder=2)
        panels.bars(
            axis, at_x, at_y, own["consistency_half_width"], 100 * own["accuracy_half_width"],
            look.color, alpha=0.3,
        )  # fmt: skip
        for size, ratio in zip(_MARKER_SIZES, ratios, strict=False):
            here = own[own["ratio"] == ratio]
            within = bool(inside[here.index].all())
            axis.plot(
                here["consistency_mean"] if within else here["consistency_mean"].clip(*x_span),
                100 * here["accuracy_mean"] if within else [y_span[0]] * len(here),
                ls="none", marker=look.marker, color=look.color, markersize=size, clip_on=within,
                markerfacecolor=look.color if within else "white",
                markeredgecolor="white" if within else look.color,
                markeredgewidth=0.3 if within else 0.7, zorder=3, gid="points",
            )  # fmt: skip
    panels.linear_axis(axis, *x_span, which="x", bins=3)
    panels.linear_axis(axis, *y_span)
    return [*means["accuracy_n"], *means["consistency_n"]]


def _floor(runs: pd.DataFrame, task) -> float:
    """Lowest accuracy that is shown where it is, per cent."""
    return 100 * float(of_task(runs, task)["accuracy_fp32"].mean()) - _BELOW


def _missing(table: pd.DataFrame, tasks: list, styles: dict) -> str:
    """Methods that are absent at a ratio that is shown, by task."""
    found = []
    for task in tasks:
        here = of_task(table, task)
        shown = here[here["ratio"].isin(_common_ratios(here))]
        known = shown.groupby("method", observed=True)["accuracy"].apply(
            lambda accuracy: accuracy.notna().all()
        )
        lost = [look.label for name, look in styles.items() if not known.get(name, False)]
        if lost and not shown.empty:
            found.append(f"{', '.join(lost)} ({task[0]})")
    return "; ".join(found)
