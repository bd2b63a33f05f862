"""Accuracy against what compression gains: artefact size, or sparsity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ecqx.results import statistics, style
from ecqx.results.figures import panels
from ecqx.results.figures.layout import Page, grid_of_blocks
from ecqx.results.keys import of_task, tasks_of

_ZOOM_BELOW = 5.0  # percentage points below full precision that the second panel shows
_FRONT_COLOR, _FRONT_WIDTH = "0.84", 4.5  # of the front of all methods: beneath everything
_CROWDED = 100  # operating points of a task; with more, only fronts are drawn in full
_LANE_LINE = 0.12  # share of a panel's height for a line of the lane of runs without a result
_LANE_ENTRIES = 4  # methods side by side in it


@dataclass(frozen=True)
class _Abscissa:
    column: str
    factor: float  # from the table's unit to the axis'
    label: str
    cost: float  # +1 where less is better, -1 where more is
    bounds: tuple[float, float]  # in the axis' unit
    arrange: Callable[[Axes, np.ndarray], None]


def _percent_axis(axis: Axes, values: np.ndarray) -> None:
    low, high = panels.limits(values, least=2.0)
    panels.linear_axis(axis, max(low, -2.0), min(high, 102.0), which="x")


_SIZE = _Abscissa(
    "size_bytes", 1 / panels.KILOBYTE, "Size [kB]", 1.0, panels.POSITIVE, panels.size_axis
)
_SPARSITY = _Abscissa("sparsity", 100.0, "Sparsity [%]", -1.0, panels.PERCENT, _percent_axis)


def accuracy_vs_size(runs: pd.DataFrame, width: str = "page") -> Figure:
    """Test accuracy [%] against artefact size [kB, log]: two panels per task.

    One panel shows everything, the other the last points below full precision. Per method: a
    marker per operating point at its mean over seeds, and a line through the points that no other
    point *of the method* dominates on validation data, with 95 % t-intervals both ways; points off
    that line are small and pale, without interval. Single seeds are faint markers. A broad grey
    line joins the points that no point of any method dominates, chosen likewise. Full precision is
    a line with its interval, its size is in the heading. Runs without a result are counted at the
    bottom: they have no size.

    Parameters
    ----------
    runs : DataFrame, as runs.csv.
    width : {"page", "column"}; tasks side by side, or below each other.
    """
    return _tradeoff(runs, _SIZE, width)


def accuracy_vs_sparsity(runs: pd.DataFrame, width: str = "page") -> Figure:
    """Test accuracy [%] against the share of zero weights [%]; drawn as accuracy_vs_size.

    Here the fronts are those of high accuracy and high sparsity.

    Parameters
    ----------
    runs, width : as for accuracy_vs_size.
    """
    return _tradeoff(runs, _SPARSITY, width)


def _tradeoff(runs: pd.DataFrame, x: _Abscissa, width: str) -> Figure:
    with style.context():
        points = panels.points_with_fronts(runs, x.column, x.cost)
        references = statistics.full_precision(runs)
        styles = panels.styles_of(runs)
        tasks = tasks_of(runs)
        if not tasks:
            return panels.nothing(width, "no runs")
        page, pairs = _pairs(width, len(tasks))
        for index, (upper, lower, row) in enumerate(pairs):
            if index >= len(tasks):
                panels.empty_panel(upper, "")
                panels.empty_panel(lower, "")
                continue
            task = tasks[index]
            reference = of_task(references, task).iloc[0]
            if row is None:
                page.title(upper, _heading(task, reference))
            else:
                page.title_row(row, _heading(task, reference).replace("\n", "; "))
            here = _drawn(of_task(points, task), x)
            seeds = _seeds(of_task(runs, task), x)
            if len(here) > _CROWDED:
                seeds = seeds.iloc[:0]
            _draw_task(upper, lower, here, seeds, reference, styles, x)
            lower.set_xlabel(x.label)
            if row is None:
                upper.tick_params(labelbottom=False)
                first = upper in page.grid[:, 0]
                for axis in (upper, lower):
                    axis.set_ylabel("Accuracy [%]" if first else "")
            else:
                upper.set_ylabel("Accuracy [%]")
                upper.set_xlabel(x.label if row == len(page.grid) - 1 else "")
                lower.set_xlabel(x.label if row == len(page.grid) - 1 else "")
        crowded = points.groupby(statistics.TASK, observed=True).size().max() > _CROWDED
        drawn = [*points["accuracy_n"], *references["accuracy_n"]]
        others = [
            Line2D([], [], color="0.3", lw=0.9, label="Full precision (FP32)"),
            Line2D([], [], color=_FRONT_COLOR, lw=_FRONT_WIDTH, label="Front of all methods"),
            panels.off_front_handle(),
        ]
        where = "Lower row" if width == "page" else "Right"
        return page.finish(
            panels.with_others(panels.method_handles(styles), others),
            panels.seeds_note(drawn, cut="0 and 100 %"),
            panels.FRONTS_NOTE,
            "Faint: single seeds."
            if not crowded
            else f"Single seeds and intervals are left out of tasks with more than {_CROWDED} "
            "operating points.",
            "A point with a run that gave no result is off the fronts."
            if not points["complete"].all()
            else "",
            f"{where}: from {_ZOOM_BELOW:g} points below full precision.",
            panels.UNITS_NOTE if x is _SIZE else "",
            panels.absence_note(runs, styles),
        )


def _pairs(width: str, tasks: int) -> tuple[Page, list]:
    """A page and, per task, its two panels and the row that holds both, if they share one."""
    if width == "column":
        page = Page(width, [1.15] * tasks, 2)
        return page, [(*page.grid[row], row) for row in range(tasks)]
    blocks, columns = grid_of_blocks(tasks, 3)
    page = Page(width, [1.45, 1.35] * blocks, columns)
    pairs = []
    for index in range(blocks * columns):
        block, column = divmod(index, columns)
        pairs.append((page.grid[2 * block, column], page.grid[2 * block + 1, column], None))
    return page, pairs


def _draw_task(
    upper: Axes, lower: Axes, here: pd.DataFrame, seeds: pd.DataFrame, reference: pd.Series,
    styles: dict, x: _Abscissa,
) -> None:  # fmt: skip
    full, full_width = reference["accuracy_mean"] * 100, reference["accuracy_half_width"] * 100
    for axis in (upper, lower):
        panels.seed_cloud(axis, seeds, "x", "y", styles)
        _draw_methods(axis, here, styles, x)
        panels.level(axis, full, full_width, "0.3", bounds=panels.PERCENT)
        x.arrange(axis, np.concatenate([here["x"], seeds["x"]]))
    values = np.concatenate([here["y"], seeds["y"], [full]])
    low, high = panels.limits(values, least=0.5)
    _accuracy_limits(upper, low, high)
    _missing_lane(upper, here, styles, low)
    if np.isfinite(full):
        near = values[values >= full - _ZOOM_BELOW]
        _accuracy_limits(lower, full - _ZOOM_BELOW - 0.2, panels.limits(near, least=0.5)[1])
    else:
        _accuracy_limits(lower, low, high)


def _heading(task: tuple[str, str], reference: pd.Series) -> str:
    mean, width = reference["accuracy_mean"] * 100, reference["accuracy_half_width"] * 100
    if not np.isfinite(mean):
        return f"{panels.heading(task)}\nfull precision unknown"
    interval = f" ± {width:.1f}" if np.isfinite(width) else ""
    size = panels.kilobytes(reference["size_bytes_mean"])
    return f"{panels.heading(task)}\nFP32: {mean:.1f}{interval} %, {size}"


def _seeds(runs: pd.DataFrame, x: _Abscissa) -> pd.DataFrame:
    """Single runs in axis units; those without a result are left out."""
    runs = runs[runs["status"] == "ok"]
    return runs.assign(
        x=runs[x.column].astype(float) * x.factor, y=runs["accuracy"].astype(float) * 100
    )


def _drawn(points: pd.DataFrame, x: _Abscissa) -> pd.DataFrame:
    """Points of a task in axis units, with the number of their diverged runs."""
    return points.assign(
        x=points[f"{x.column}_mean"] * x.factor,
        x_bar=points[f"{x.column}_half_width"] * x.factor,
        y=points["accuracy_mean"] * 100,
        y_bar=points["accuracy_half_width"] * 100,
        missing=points["runs"] - points["skipped"] - points["failed"] - points["accuracy_n"],
    )


def _draw_methods(axis: Axes, points: pd.DataFrame, styles: dict, x: _Abscissa) -> None:
    crowded = len(points) > _CROWDED
    scale = 0.75 if crowded else 1.0
    best = points[points["all_front"]].sort_values("x")
    axis.plot(
        best["x"], best["y"], color=_FRONT_COLOR, lw=_FRONT_WIDTH, solid_capstyle="round",
        zorder=1.2, gid="front",
    )  # fmt: skip
    for method, look in styles.items():
        own = points[(points["method"] == method) & np.isfinite(points["x"] + points["y"])]
        own = own.sort_values("x")
        line, off = own[own["own_front"]], own[~own["own_front"]]
        panels.curve(axis, line["x"], line["y"], look, scale)
        if not crowded:
            panels.bars(
                axis, line["x"], line["y"], line["x_bar"], line["y_bar"], look.color,
                x_bounds=x.bounds, y_bounds=panels.PERCENT,
            )  # fmt: skip
        panels.marks(axis, line["x"], line["y"], look, scale)
        panels.marks(axis, off["x"], off["y"], look, scale, faint=True)


def _accuracy_limits(axis: Axes, low: float, high: float) -> None:
    """Limits and ticks in per cent; there is no accuracy above 100 %."""
    high = min(high, 100 + 0.03 * (100 - low))
    panels.linear_axis(axis, low, high, bins=5)
    axis.set_yticks([tick for tick in axis.get_yticks() if tick <= 100 + 1e-9])


def _missing_lane(axis: Axes, points: pd.DataFrame, styles: dict, low: float) -> None:
    """A lane below the data with a cross and a count per method that has runs without a result.

    Such a run has no artefact, hence no size: where it stands in the lane means nothing. Diverged
    and failed runs have lines of their own.
    """
    lines = []  # (word, methods) from top to bottom
    for word, column in (("diverged", "missing"), ("failed", "failed")):
        counts = points.groupby("method", observed=True)[column].sum()
        entries = [(look, int(counts.get(name, 0))) for name, look in styles.items()]
        entries = [(look, count) for look, count in entries if count]
        for start in range(0, len(entries), _LANE_ENTRIES):
            lines.append(("" if start else word, entries[start : start + _LANE_ENTRIES]))
    if not lines:
        return
    share = _LANE_LINE * len(lines)
    _, top = axis.get_ylim()
    axis.set_ylim(low - (top - low) * share / (1 - share), top)
    # above intervals that reach down: the lane has no vertical axis
    axis.axhspan(axis.get_ylim()[0], low, color="0.95", lw=0, zorder=3.9)
    small = style.NOTE_FONT_SIZE
    place = {"transform": axis.transAxes, "zorder": 4}
    for line, (word, entries) in enumerate(lines):
        height = share - (line + 0.5) * _LANE_LINE
        text = {"va": "center", "ha": "left", "fontsize": small, **place}
        if word:
            axis.text(0.02, height, word, **text)
        for column, (look, count) in enumerate(entries):
            at = 0.36 + 0.17 * column
            own = {"ls": "none", "color": look.color, **place}
            axis.plot(
                [at], [height], marker=look.marker, markersize=5, markerfacecolor="white", **own
            )
            axis.plot([at], [height], marker="x", markersize=2.5, **own)
            axis.text(at + 0.04, height, f"{count}", color=look.color, **text)
