"""Accuracy against what compression gains: artefact size, or sparsity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ecqx.results import statistics, style
from ecqx.results.figures import panels

_ZOOM_BELOW = 5.0  # percentage points below full precision that the lower row shows
_COLUMNS = 3  # tasks side by side


@dataclass(frozen=True)
class _Abscissa:
    column: str
    factor: float  # from the table's unit to the axis'
    label: str
    cost: float  # +1 where less is better, -1 where more is
    arrange: Callable[[Axes, np.ndarray], None]


def _percent_axis(axis: Axes, values: np.ndarray) -> None:
    axis.set_xlim(*panels.limits(values, least=2.0))


_SIZE = _Abscissa("size_bytes", 1 / panels.KILOBYTE, "Size [kB]", 1.0, panels.size_axis)
_SPARSITY = _Abscissa("sparsity", 100.0, "Sparsity [%]", -1.0, _percent_axis)


def accuracy_vs_size(runs: pd.DataFrame) -> Figure:
    """Test accuracy [%] against artefact size [kB, log], a column of two panels per task.

    The upper panel shows everything, the lower one the last points below full precision. Per
    method: a marker per operating point at its mean over seeds with 95 % t-intervals both ways,
    every seed as a faint marker, and a line through the points that no other point *of the method*
    dominates; points off that line are hollow. Points that no point of any method dominates carry a
    black rim. Full precision is a line with its interval and its size is in the heading. Runs
    without a result are counted at the bottom, since they have no size.

    Parameters
    ----------
    runs : DataFrame
        As runs.csv.
    """
    return _tradeoff(runs, _SIZE)


def accuracy_vs_sparsity(runs: pd.DataFrame) -> Figure:
    """Test accuracy [%] against the share of zero weights [%]; drawn as accuracy_vs_size.

    Here the fronts are those of high accuracy and high sparsity.

    Parameters
    ----------
    runs : DataFrame
        As runs.csv.
    """
    return _tradeoff(runs, _SPARSITY)


def _tradeoff(runs: pd.DataFrame, x: _Abscissa) -> Figure:
    with style.context():
        points = statistics.aggregate_points(runs)
        references = statistics.full_precision(runs)
        styles = style.method_styles(runs["method"])
        tasks = panels.tasks_of(runs)
        columns = min(_COLUMNS, max(1, len(tasks)))
        blocks = -(-len(tasks) // columns) or 1
        around = 0.9 if columns > 1 else 1.6  # legend and note need more lines in a column
        figure = Figure(
            figsize=(panels.width_of(columns), around + 3.4 * blocks), layout="constrained"
        )
        grid = figure.subplots(2 * blocks, columns, squeeze=False, height_ratios=[1.15, 1] * blocks)
        for index in range(blocks * columns):
            block, column = divmod(index, columns)
            upper, lower = grid[2 * block, column], grid[2 * block + 1, column]
            if index >= len(tasks):
                panels.empty_panel(upper, "" if tasks else "no runs")
                panels.empty_panel(lower, "")
                continue
            task = tasks[index]
            reference = panels.of_task(references, task).iloc[0]
            here = _drawn(panels.of_task(points, task), x)
            seeds = panels.of_task(runs, task)
            seeds = seeds[seeds["status"] == "ok"].assign(
                x=lambda frame: frame[x.column].astype(float) * x.factor,
                y=lambda frame: frame["accuracy"].astype(float) * 100,
            )
            for axis in (upper, lower):
                panels.seed_cloud(axis, seeds, "x", "y", styles)
                _draw_methods(axis, here, styles)
                _draw_reference(axis, reference)
                x.arrange(axis, np.concatenate([here["x"], seeds["x"]]))
                axis.set_xlabel("")
                axis.set_ylabel("Accuracy [%]" if column == 0 else "")
            upper.set_title(_heading(task, reference), fontsize=style.SMALL_FONT_SIZE)
            upper.tick_params(labelbottom=False)
            lower.set_xlabel(x.label)
            full = float(reference["accuracy_mean"]) * 100
            values = np.concatenate([here["y"], seeds["y"], [full]])
            low, high = panels.limits(values, least=0.5)
            _accuracy_limits(upper, low, high)
            _missing_lane(upper, here, styles, low, high)
            if np.isfinite(full):
                near = values[values >= full - _ZOOM_BELOW]
                _accuracy_limits(lower, full - _ZOOM_BELOW - 0.2, panels.limits(near, least=0.5)[1])
            else:
                _accuracy_limits(lower, low, high)
        handles = panels.method_handles(styles) + [
            Line2D([], [], color="0.3", ls="-", lw=0.9, label="Full precision"),
            _rim_handle("0.75", "black", "On the front of all"),
            _rim_handle("0.6", "0.6", "On its method's front"),
            _rim_handle("white", "0.5", "Off the front"),
        ]
        panels.legend(figure, handles)
        drawn = [*points["accuracy_n"], *references["accuracy_n"]]
        panels.note(
            figure,
            panels.statistics_note(drawn),
            "Fronts are of means; a point with a run that gave no result is off the front.",
            f"Lower row: the range from {_ZOOM_BELOW:g} points below full precision.",
            "1 kB = 1000 bytes.",
            panels.absence_note(runs, styles),
        )
        return figure


def _rim_handle(face: str, edge: str, label: str):
    return Line2D(
        [], [], ls="none", marker="o", markerfacecolor=face, markeredgecolor=edge,
        markeredgewidth=1.0, markersize=4.5, label=label,
    )  # fmt: skip


def _heading(task: tuple[str, str], reference: pd.Series) -> str:
    mean, width = reference["accuracy_mean"] * 100, reference["accuracy_half_width"] * 100
    if not np.isfinite(mean):
        return f"{panels.heading(task)}\nfull precision unknown"
    interval = f" ± {width:.1f}" if np.isfinite(width) else ""
    size = panels.kilobytes(reference["size_bytes_mean"])
    return f"{panels.heading(task)}\nfull precision {mean:.1f}{interval} %, {size}"


def _drawn(points: pd.DataFrame, x: _Abscissa) -> pd.DataFrame:
    """Points of a task in axis units, with the fronts they are on and their runs without result."""
    points = points.assign(
        x=points[f"{x.column}_mean"] * x.factor,
        x_bar=points[f"{x.column}_half_width"] * x.factor,
        y=points["accuracy_mean"] * 100,
        y_bar=points["accuracy_half_width"] * 100,
        missing=points["runs"] - points["skipped"] - points["accuracy_n"],
        own_front=False,
    )

    def front(frame: pd.DataFrame) -> np.ndarray:
        return statistics.pareto_front(
            frame["y"].where(frame["complete"]), x.cost * frame["x"].to_numpy()
        )

    for method in points["method"].unique():
        own = points["method"] == method
        points.loc[own, "own_front"] = front(points[own])
    return points.assign(all_front=front(points))


def _draw_methods(axis: Axes, points: pd.DataFrame, styles: dict) -> None:
    for method, look in styles.items():
        own = points[(points["method"] == method) & np.isfinite(points["x"] + points["y"])]
        own = own.sort_values("x")
        line = own[own["own_front"]]
        axis.plot(line["x"], line["y"], color=look.color, ls=look.linestyle, zorder=2)
        axis.errorbar(
            own["x"], own["y"], xerr=own["x_bar"], yerr=own["y_bar"], fmt="none",
            ecolor=look.color, elinewidth=0.7, capsize=1.2, capthick=0.6, alpha=0.8, zorder=2.2,
        )  # fmt: skip
        for frame, face, edge in (
            (own[~own["own_front"]], "white", look.color),
            (own[own["own_front"] & ~own["all_front"]], look.color, look.color),
            (own[own["all_front"]], look.color, "black"),
        ):
            axis.plot(
                frame["x"], frame["y"], ls="none", marker=look.marker, markerfacecolor=face,
                markeredgecolor=edge, markeredgewidth=0.8, zorder=3,
            )  # fmt: skip


def _draw_reference(axis: Axes, reference: pd.Series) -> None:
    mean, width = reference["accuracy_mean"] * 100, reference["accuracy_half_width"] * 100
    if np.isfinite(mean):
        axis.axhline(mean, color="0.3", lw=0.9, zorder=1)
    if np.isfinite(width):
        axis.axhspan(mean - width, mean + width, color="0.3", alpha=0.12, lw=0, zorder=0.5)


def _accuracy_limits(axis: Axes, low: float, high: float) -> None:
    """Limits and ticks in per cent; there is no accuracy above 100 %."""
    high = min(high, 100 + 0.03 * (100 - low))
    ticks = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    axis.set_ylim(low, high)
    axis.set_yticks([tick for tick in ticks if low <= tick <= min(high, 100 + 1e-9)])


def _missing_lane(axis: Axes, points: pd.DataFrame, styles: dict, low: float, high: float) -> None:
    """A lane below the data with a cross and a count per method that has runs without a result.

    Such a run has no artefact, hence no size: where it stands in the lane means nothing.
    """
    counts = points.groupby("method")["missing"].sum()
    counts = [(look, int(counts.get(name, 0))) for name, look in styles.items()]
    counts = [(look, count) for look, count in counts if count]
    if not counts:
        return
    share = 0.13  # of the panel's height
    _, top = axis.get_ylim()
    axis.set_ylim(low - (top - low) * share / (1 - share), top)
    axis.axhspan(axis.get_ylim()[0], low, color="0.95", lw=0, zorder=0.4)
    small = style.SMALL_FONT_SIZE - 0.5
    center = share / 2
    place = {"transform": axis.transAxes, "zorder": 4}
    axis.text(0.02, center, "diverged", va="center", ha="left", fontsize=small, **place)
    start, end = 0.34, 1.0
    step = min(0.15, (end - start) / len(counts))
    for index, (look, count) in enumerate(counts):
        at = start + index * step
        own = {"ls": "none", "color": look.color, **place}
        axis.plot([at], [center], marker=look.marker, markersize=6, markerfacecolor="white", **own)
        axis.plot([at], [center], marker="x", markersize=3, **own)
        axis.text(at + 0.04, center, f"{count}", va="center", ha="left", fontsize=small,
                  color=look.color, **place)  # fmt: skip
