"""What the figures share: axes, marks of methods, legends, the sentences of the small print."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from ecqx.results import statistics, style
from ecqx.results.figures.layout import Page
from ecqx.results.keys import LOST, of_task, tasks_of

KILOBYTE = 1e3  # bytes
_NOTHING = "nothing"
_NAMED_ABSENCES = 6
UNITS_NOTE = "1\N{NO-BREAK SPACE}kB = 1000\N{NO-BREAK SPACE}bytes."


def heading(task: tuple[str, str]) -> str:
    """Name of a task over its panel."""
    return style.task_label(*task)


def kilobytes(size_bytes: float) -> str:
    """A size in bytes as text in kB, to three figures or the whole kB."""
    size = size_bytes / KILOBYTE
    digits = 2 if size < 10 else 1 if size < 100 else 0
    return f"{size:.{digits}f}\N{NO-BREAK SPACE}kB"


def log_axis(axis: Axes, values, which: str = "x", least: float = 0.15, minor: bool = True) -> None:
    """Logarithmic axis around the finite ``values``, with two to six labels a reader can read.

    Minor ticks, which cost as much as all else of a small panel, can be left out.
    """
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values) & (values > 0)]
    low, high = limits(np.log10(values), margin=0.08, least=least)
    getattr(axis, f"set_{which}scale")("log")
    getattr(axis, f"set_{which}lim")(10**low, 10**high)
    decades = high - low
    if decades < 0.9:
        subs = (1, 1.5, 2, 3, 4, 5, 7)
    elif decades < 1.6:
        subs = (1, 2, 5)
    else:
        subs = (1, 3) if decades < 2.4 else (1,)
    ticks = getattr(axis, f"{which}axis")
    # about four labels of five digits to the inch are as many as do not touch
    base = 10 if decades < 6 else 10 ** int(np.ceil(decades / 5))
    ticks.set_major_locator(LogLocator(base=base, subs=subs if base == 10 else (1,), numticks=20))
    ticks.set_minor_locator(
        LogLocator(base=10, subs=range(1, 10), numticks=50) if minor else NullLocator()
    )
    ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ticks.set_minor_formatter(NullFormatter())


def size_axis(axis: Axes, sizes, minor: bool = True) -> None:
    """Logarithmic x axis around the finite ``sizes`` (kB)."""
    log_axis(axis, sizes, minor=minor)


def linear_axis(axis: Axes, low: float, high: float, which: str = "y", bins: int = 4) -> None:
    """Linear axis from ``low`` to ``high`` with at most ``bins`` + 1 labels inside."""
    getattr(axis, f"set_{which}lim")(low, high)
    locator = MaxNLocator(nbins=bins, steps=[1, 2, 2.5, 5, 10])
    ticks = [tick for tick in locator.tick_values(low, high) if low <= tick <= high]
    getattr(axis, f"set_{which}ticks")(ticks)


def limits(values, margin: float = 0.06, least: float = 0.0) -> tuple[float, float]:
    """Limits around the finite values, ``margin`` of their span (at least ``least``) to each side.

    Error bars do not count: with two seeds a t-interval is 9 standard deviations long, and would
    squeeze everything else into a line. A bar that leaves the panel is seen to do so.
    """
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    pad = max(margin * (high - low), least) or 0.05
    return low - pad, high + pad


def seed_cloud(axis: Axes, frame: pd.DataFrame, x: str, y: str, styles: dict) -> None:
    """Every seed as a small faint marker of its method."""
    for method, look in styles.items():
        own = frame[frame["method"] == method]
        if own.empty:
            continue
        axis.plot(
            own[x].to_numpy(), own[y].to_numpy(), ls="none", marker=look.marker, markersize=2.0,
            color=look.color, markeredgewidth=0, alpha=0.35, zorder=1.5, gid="seeds",
        )  # fmt: skip


def bars(axis: Axes, x, y, x_half=None, y_half=None, color="0.3", alpha: float = 0.6) -> None:
    """Intervals as thin lines through the points, where they are known."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    segments = []
    for half, across in ((x_half, True), (y_half, False)):
        if half is None:
            continue
        half = np.asarray(half, dtype=float)
        known = np.isfinite(x + y + half)
        at_x, at_y, half = x[known], y[known], half[known]
        shift = np.stack([half, np.zeros_like(half)] if across else [np.zeros_like(half), half], -1)
        middle = np.stack([at_x, at_y], -1)
        segments += list(np.stack([middle - shift, middle + shift], 1))
    if segments:
        axis.add_collection(
            LineCollection(
                segments, colors=color, linewidths=0.7, alpha=alpha, zorder=2.2, gid="bars"
            ),
            autolim=False,
        )


def level(axis: Axes, mean: float, half_width: float, color: str, dashes="-") -> None:
    """A horizontal reference line with its interval as a band, where these are known."""
    if np.isfinite(mean):
        axis.axhline(mean, color=color, ls=dashes, lw=0.9, zorder=1)
        if np.isfinite(half_width):
            axis.axhspan(
                mean - half_width, mean + half_width, color=color, alpha=0.13, lw=0, zorder=0.5
            )


def method_rows(axis: Axes, styles: dict, labelled: bool = True) -> dict[str, int]:
    """A row per method, the first one on top; returns the height at which each is drawn."""
    rows = {method: index for index, method in enumerate(styles)}
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_yticks(range(len(rows)), [look.label for look in styles.values()])
    axis.tick_params(axis="y", length=0, labelleft=labelled)
    axis.grid(axis="y", visible=False)
    return rows


def method_handles(styles: dict, lines: bool = True) -> list[Line2D]:
    """Legend entries of the methods, with or without the line that joins their points."""
    return [
        Line2D(
            [], [], color=look.color, marker=look.marker, ls=look.linestyle if lines else "none",
            label=look.label,
        )
        for look in styles.values()
    ]  # fmt: skip


def _drawn(counts) -> list[int]:
    """The distinct n of the points that are drawn, ascending."""
    return sorted({int(n) for n in counts if n > 0})


def seeds_text(counts) -> str:
    """How many seeds stand behind what is drawn; ``counts`` are the n of the points."""
    counts = _drawn(counts)
    if not counts:
        return "No finished run"
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"n = {seeds} seed{'s' if counts[-1] > 1 else ''}"


def seeds_note(counts, marks: str = "markers") -> str:
    """The sentence that says n and what the bars are; ``counts`` are the n of the points drawn."""
    text = seeds_text(counts)
    counts = _drawn(counts)
    if not counts:
        return f"{text}."
    if counts[-1] < 2:
        return f"{text}: no interval can be given."
    few = " Fewer than 3 seeds: intervals are very wide." if counts[0] < 3 else ""
    none = " (none where n = 1)" if counts[0] < 2 else ""
    return f"{text}; {marks}: mean over seeds, bars and bands: 95 % t-interval{none}.{few}"


def absence_note(runs: pd.DataFrame, styles: dict) -> str:
    """The sentences on runs without a result: by task and method, or their number if many."""
    parts = []
    for status in LOST:
        found = []
        for task in tasks_of(runs):
            here = of_task(runs, task)
            for method, look in styles.items():
                own = here[here["method"] == method]
                count = int((own["status"] == status).sum())
                if count:
                    found.append(f"{look.label} {count} of {len(own)} ({task[0]})")
        if len(found) > _NAMED_ABSENCES:
            total = int((runs["status"] == status).sum())
            parts.append(f"{status.capitalize()} runs: {total} of {len(runs)} in all.")
        elif found:
            parts.append(f"{status.capitalize()} runs: {', '.join(found)}.")
    return " ".join(parts)


def points_with_fronts(runs: pd.DataFrame) -> pd.DataFrame:
    """Operating points with ``own_front``: no other point of task and method dominates its means.

    As aggregate_points. Accuracy is maximised, size minimised; incomplete points are off the front.
    """
    points = statistics.aggregate_points(runs)
    points["own_front"] = False
    for _, own in points.groupby([*statistics.TASK, "method"], observed=True):
        gain = own["accuracy_mean"].where(own["complete"])
        points.loc[own.index, "own_front"] = statistics.pareto_front(gain, own["size_bytes_mean"])
    return points


def nothing(width: str, reason: str) -> Figure:
    """A figure of one line, where there is nothing to show."""
    page = Page(width, [0.4])
    empty_panel(page.grid[0, 0], reason)
    page.grid[0, 0].texts[0].set_gid(_NOTHING)
    return page.finish()


def why_nothing(figure: Figure) -> str:
    """The reason that :func:`nothing` gave; empty if the figure shows something."""
    found = [text for axis in figure.axes for text in axis.texts if text.get_gid() == _NOTHING]
    return found[0].get_text() if found else ""


def empty_panel(axis: Axes, text: str, labelled: bool = False) -> None:
    """A panel without data that says why; ``labelled``: its label is that of the row, and stays."""
    if labelled:
        axis.spines[:].set_visible(False)
        axis.grid(visible=False)
        axis.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False, which="both")
    else:
        axis.set_axis_off()
    axis.text(
        0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center",
        fontsize=style.SMALL_FONT_SIZE, color="0.4",
    )  # fmt: skip
