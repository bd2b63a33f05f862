"""What the figures share: axes, legends, clouds of seeds, notes on what is missing."""

from __future__ import annotations

import math
import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ecqx.results import statistics, style

KILOBYTE = 1e3  # bytes


def tasks_of(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """(dataset, model) pairs in the order in which they occur."""
    return list(frame[statistics.TASK].drop_duplicates().itertuples(index=False, name=None))


def of_task(frame: pd.DataFrame, task: tuple[str, str]) -> pd.DataFrame:
    """Rows of one task."""
    return frame[(frame["dataset"] == task[0]) & (frame["model"] == task[1])]


def heading(task: tuple[str, str]) -> str:
    """Name of a task over its panel, broken where a long one would run into the next."""
    return textwrap.fill(style.task_label(*task), 34, break_long_words=False)


def kilobytes(size_bytes: float) -> str:
    """A size in bytes as text in kB, to three figures or the whole kB."""
    size = size_bytes / KILOBYTE
    return f"{size:.{2 if size < 10 else 1 if size < 100 else 0}f} kB"


def width_of(columns: int) -> float:
    """Figure width in inches: one panel fits a text column, more need the page."""
    return style.COLUMN_WIDTH if columns == 1 else style.PAGE_WIDTH


def size_axis(axis: Axes, sizes) -> None:
    """Logarithmic x axis in kB around the finite ``sizes`` (kB), with ticks a reader can read."""
    axis.set_xscale("log")
    low, high = limits(np.log10(np.asarray(sizes, dtype=float)), margin=0.08, least=0.15)
    axis.set_xlim(10**low, 10**high)
    # Aim for three to six labels, however many decades there are.
    decades = high - low
    subs = (1, 2, 5) if decades < 1.6 else (1, 3) if decades < 2.4 else (1,)
    if decades < 0.9:
        subs = (1, 1.5, 2, 3, 4, 5, 7)
    axis.xaxis.set_major_locator(LogLocator(base=10, subs=subs, numticks=20))
    axis.xaxis.set_minor_locator(LogLocator(base=10, subs=range(1, 10), numticks=50))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


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
    import seaborn

    frame = frame[np.isfinite(frame[x]) & np.isfinite(frame[y])]
    if frame.empty:
        return
    seaborn.scatterplot(
        data=frame,
        x=x,
        y=y,
        hue="method",
        style="method",
        hue_order=list(styles),
        style_order=list(styles),
        palette={name: look.color for name, look in styles.items()},
        markers={name: look.marker for name, look in styles.items()},
        s=5,
        alpha=0.35,
        linewidth=0,
        zorder=1.5,
        legend=False,
        ax=axis,
    )


def method_handles(styles: dict) -> list[Line2D]:
    """Legend entries of the methods."""
    return [
        Line2D([], [], color=look.color, marker=look.marker, ls=look.linestyle, label=look.label)
        for look in styles.values()
    ]


def legend(figure: Figure, handles: list) -> None:
    """Legend above the panels, in as few rows as the figure's width allows."""
    size = style.SMALL_FONT_SIZE
    # In points: line and gaps, and the text at the mean width of a DejaVu Sans glyph.
    entries = [size * (2.6 + 0.5 + 1.2 + 0.62 * len(handle.get_label())) for handle in handles]
    rows = 1  # matplotlib fills a legend column by column
    while rows < len(entries):
        width = sum(max(entries[i : i + rows]) for i in range(0, len(entries), rows))
        if width <= figure.get_figwidth() * 72:
            break
        rows += 1
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=math.ceil(len(entries) / rows),
        handlelength=2.6,
        columnspacing=1.2,
        handletextpad=0.5,
    )


def note(figure: Figure, *sentences: str) -> None:
    """Small print below the panels, wrapped to the figure's width."""
    text = " ".join(sentence for sentence in sentences if sentence)
    size = style.SMALL_FONT_SIZE - 0.5
    columns = int(figure.get_figwidth() * 72 / (0.53 * size))
    figure.supxlabel(textwrap.fill(text, columns), x=0.01, ha="left", fontsize=size, color="0.25")


def statistics_note(counts, bars: str = "bars") -> str:
    """The sentence that says n and what the bars are; ``counts`` are the n of the points drawn."""
    counts = sorted({int(n) for n in counts if n > 0})
    if not counts:
        return "No finished run."
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    text = f"n = {seeds} seed{'s' if counts[-1] > 1 else ''} per point"
    if counts[-1] < 2:
        return f"{text}: no interval can be given."
    tail = " (none where n = 1)" if counts[0] < 2 else ""
    return f"{text}, markers: mean, {bars}: 95 % t-interval{tail}, faint: single seeds."


def absence_note(runs: pd.DataFrame, styles: dict) -> str:
    """The sentences that name diverged and skipped runs, by task and method."""
    parts = []
    for status in ("diverged", "skipped"):
        found = []
        for task in tasks_of(runs):
            here = of_task(runs, task)
            for method, look in styles.items():
                own = here[here["method"] == method]
                count = int((own["status"] == status).sum())
                if count:
                    found.append(f"{look.label} {count} of {len(own)} ({task[0]})")
        if found:
            parts.append(f"{status.capitalize()} runs: {', '.join(found)}.")
    return " ".join(parts)


def empty_panel(axis: Axes, text: str) -> None:
    """A panel without data that says why."""
    axis.set_axis_off()
    axis.text(
        0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center",
        fontsize=style.SMALL_FONT_SIZE, color="0.4",
    )  # fmt: skip
