"""What the figures share: axes, marks of methods, legends, the sentences of the captions."""

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
FRONTS_NOTE = "Fronts are chosen on validation accuracy; test accuracy is shown."
MATCHED_NOTE = (
    "One operating point per method, near the smallest size at which more than half of the methods "
    "agree in validation accuracy within 2 points; size and test accuracy stand beside each."
)
NO_BOUNDS = (-np.inf, np.inf)
PERCENT = (0.0, 100.0)
POSITIVE = (0.0, np.inf)
_OFF_FRONT = 0.6  # size of a marker that is off its method's front, of one on it
_FAINT = 0.55  # opacity of such a marker


def heading(task: tuple[str, str]) -> str:
    """Name of a task over its panel."""
    return style.task_label(*task)


def kilobytes(size_bytes: float) -> str:
    """A size in bytes as text in kB, to three figures or the whole kB."""
    size = size_bytes / KILOBYTE
    digits = 2 if size < 10 else 1 if size < 100 else 0
    return f"{size:.{digits}f}\N{NO-BREAK SPACE}kB"


def measured(size_bytes: float | None, accuracy: float | None, between: str = ", ") -> str:
    """Size and accuracy of a network as text; says so where they are not known."""
    known = [value for value in (size_bytes, accuracy) if value is not None and np.isfinite(value)]
    if len(known) < 2:
        return "no result"
    percent = f"{100 * accuracy:.1f}\N{NO-BREAK SPACE}%"
    return f"{kilobytes(size_bytes)}{between}{percent}"


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


def styles_of(runs: pd.DataFrame) -> dict[str, style.MethodStyle]:
    """Styles of the methods of ``runs``, which say where known whether a method trains."""
    return style.method_styles(runs["method"], statistics.trained(runs))


def marks(
    axis: Axes, x, y, look: style.MethodStyle, scale: float = 1.0, faint: bool = False,
    gid: str = "points",
) -> None:  # fmt: skip
    """Markers of a method, those of smaller size and those without filling above the others.

    Parameters
    ----------
    axis : Axes
    x, y : array_like, shape (n,)
    look : MethodStyle
    scale : float, factor on the size of the method's markers.
    faint : bool, small and pale: off the method's front.
    gid : str, what the markers are.
    """
    size = scale * look.size * (_OFF_FRONT if faint else 1.0)
    hollow = look.face == "none"
    axis.plot(
        np.asarray(x, dtype=float), np.asarray(y, dtype=float), ls="none", marker=look.marker,
        markersize=size, markerfacecolor=look.face,
        markeredgecolor=look.color if hollow or faint else "white",
        markeredgewidth=scale * (0.9 if hollow else 0.35) * (0.6 if faint else 1.0),
        alpha=_FAINT if faint else None,
        zorder=(2.4 if faint else 3.0) + (0.3 if hollow else 0.3 * (1 - look.size / 10)),
        gid=gid,
    )  # fmt: skip


def curve(axis: Axes, x, y, look: style.MethodStyle, scale: float = 1.0) -> None:
    """The line that joins points of a method, narrow ones above broad ones."""
    axis.plot(
        np.asarray(x, dtype=float), np.asarray(y, dtype=float), color=look.color,
        ls=look.linestyle, lw=scale * look.linewidth, zorder=2.1 - look.size / 100,
        solid_capstyle="round",
    )  # fmt: skip


def seed_cloud(axis: Axes, frame: pd.DataFrame, x: str, y: str, styles: dict) -> None:
    """Every seed as a small faint marker of its method."""
    for method, look in styles.items():
        own = frame[frame["method"] == method]
        if own.empty:
            continue
        axis.plot(
            own[x].to_numpy(), own[y].to_numpy(), ls="none", marker=look.marker, markersize=1.6,
            color=look.color, markeredgewidth=0, alpha=0.3, zorder=1.5, gid="seeds",
        )  # fmt: skip


def bars(
    axis: Axes, x, y, x_half=None, y_half=None, color="0.3", alpha: float = 0.6,
    x_bounds: tuple[float, float] = NO_BOUNDS, y_bounds: tuple[float, float] = NO_BOUNDS,
) -> None:  # fmt: skip
    """Intervals as thin lines through the points, where they are known.

    They are cut at the bounds of their quantity: no accuracy lies above 100 %.

    Parameters
    ----------
    axis : Axes
    x, y : array_like, shape (n,)
    x_half, y_half : array_like, shape (n,) or (2, n), optional; half widths of the intervals, or
        how far they reach down and up.
    color : str
    alpha : float, opacity.
    x_bounds, y_bounds : (float, float), least and largest value of each quantity.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    segments = []
    for half, across, bounds in ((x_half, True, x_bounds), (y_half, False, y_bounds)):
        if half is None:
            continue
        down, up = np.broadcast_to(np.asarray(half, dtype=float), (2, *x.shape))
        known = np.isfinite(x + y + down + up)
        middle, other = (x[known], y[known]) if across else (y[known], x[known])
        ends = np.stack([middle - down[known], middle + up[known]], -1).clip(*bounds)
        others = np.stack([other, other], -1)
        segments += list(np.stack([ends, others] if across else [others, ends], -1))
    if segments:
        axis.add_collection(
            LineCollection(
                segments, colors=color, linewidths=0.7, alpha=alpha, zorder=2.2, gid="bars"
            ),
            autolim=False,
        )


def level(
    axis: Axes, mean: float, half_width: float, color: str, dashes="-",
    bounds: tuple[float, float] = NO_BOUNDS,
) -> None:  # fmt: skip
    """A horizontal reference line with its interval as a band, where these are known.

    The band is cut at the bounds of the quantity.
    """
    if np.isfinite(mean):
        axis.axhline(mean, color=color, ls=dashes, lw=0.9, zorder=1)
        if np.isfinite(half_width):
            low, high = np.clip([mean - half_width, mean + half_width], *bounds)
            axis.axhspan(low, high, color=color, alpha=0.13, lw=0, zorder=0.5, gid="band")


def method_rows(axis: Axes, styles: dict, labelled: bool = True) -> dict[str, int]:
    """A row per method, the first one on top; returns the height at which each is drawn."""
    rows = {method: index for index, method in enumerate(styles)}
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_yticks(range(len(rows)), [look.label for look in styles.values()])
    axis.tick_params(axis="y", length=0, labelleft=labelled)
    axis.grid(axis="y", visible=False)
    return rows


def method_handles(styles: dict, lines: bool = True) -> dict[str, list[Line2D]]:
    """Legend entries of the methods, with or without the line that joins their points.

    Grouped by whether the methods train; in one group without a title where that is unknown.
    """
    titles = {True: "Trained", False: "Without training", None: "No finished run"}
    if all(look.trained is None for look in styles.values()):
        titles[None] = ""
    groups: dict[str, list[Line2D]] = {}
    for trained, title in titles.items():
        for look in styles.values():
            if look.trained is trained:
                handle = Line2D(
                    [], [], color=look.color, marker=look.marker, markersize=look.size,
                    markerfacecolor=look.face, lw=look.linewidth,
                    markeredgecolor=look.color if look.face == "none" else "white",
                    markeredgewidth=0.9 if look.face == "none" else 0.35,
                    ls=look.linestyle if lines else "none", label=look.label,
                )  # fmt: skip
                groups.setdefault(title, []).append(handle)
    return groups


def with_others(groups: dict[str, list[Line2D]], others: list[Line2D]) -> dict[str, list[Line2D]]:
    """The legend of the methods with entries of another kind, which have no title."""
    return {**groups, "": groups.get("", []) + others}


def training_handles(styles: dict) -> list[Line2D]:
    """Legend entries of the filling alone, where rows bear the methods' names; none if unknown."""
    known = {look.trained for look in styles.values()}
    return [
        Line2D(
            [], [], ls="none", marker="o", color="0.4", markersize=4, label=words,
            markerfacecolor="0.4" if trained else "none", markeredgewidth=0.9,
        )
        for trained, words in ((True, "Trained"), (False, "Without training"))
        if trained in known
    ]  # fmt: skip


def off_front_handle() -> Line2D:
    """Legend entry of the points off their method's front."""
    return Line2D(
        [], [], ls="none", marker="o", color="0.4", alpha=_FAINT, markeredgewidth=0.2,
        markersize=2.5, label="Off its method's front",
    )  # fmt: skip


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


def seeds_note(counts, marks: str = "markers", cut: str = "") -> str:
    """The sentence that says n and what the bars are.

    Parameters
    ----------
    counts : sequence of int, the n of the points drawn.
    marks : str, what shows the means.
    cut : str, optional; the bounds at which intervals are cut.
    """
    text = seeds_text(counts)
    counts = _drawn(counts)
    if not counts:
        return f"{text}."
    if counts[-1] < 2:
        return f"{text}: no interval can be given."
    few = " Fewer than 3 seeds: intervals are very wide." if counts[0] < 3 else ""
    none = " (none where n = 1)" if counts[0] < 2 else ""
    ends = f", cut at {cut}" if cut else ""
    return f"{text}; {marks}: mean over seeds, bars and bands: 95 % t-interval{ends}{none}.{few}"


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
                    where = style.dataset_label(task[0])
                    found.append(f"{look.label} {count} of {len(own)} ({where})")
        if len(found) > _NAMED_ABSENCES:
            total = int((runs["status"] == status).sum())
            parts.append(f"{status.capitalize()} runs: {total} of {len(runs)} in all.")
        elif found:
            parts.append(f"{status.capitalize()} runs: {', '.join(found)}.")
    return " ".join(parts)


def points_with_fronts(
    runs: pd.DataFrame, column: str = "size_bytes", cost: float = 1.0
) -> pd.DataFrame:
    """Operating points with the fronts they are on, chosen on mean accuracy on validation data.

    ``own_front``: no other point of task and method dominates the point's means; ``all_front``: no
    other point of the task does. Points with a run that gave no result are off the fronts.

    Parameters
    ----------
    runs : DataFrame, as runs.csv.
    column : str, what accuracy is weighed against.
    cost : float, +1 where less of it is better, -1 where more is.

    Returns
    -------
    DataFrame
        As :func:`statistics.aggregate_points`, with own_front and all_front.

    Raises
    ------
    ValueError : a column is missing.
    """
    statistics.require_columns(runs, ["accuracy_validation"], "runs")
    points = statistics.aggregate_points(runs)
    ok = runs[runs["status"] == "ok"]
    chosen_by = statistics.aggregate(ok, statistics.POINT, ["accuracy_validation"])
    points = points.merge(
        chosen_by[[*statistics.POINT, "accuracy_validation_mean"]], on=statistics.POINT, how="left"
    )
    gain = points["accuracy_validation_mean"].where(points["complete"])
    for name, keys in (("own_front", [*statistics.TASK, "method"]), ("all_front", statistics.TASK)):
        points[name] = False
        for _, own in points.groupby(keys, observed=True):
            points.loc[own.index, name] = statistics.pareto_front(
                gain[own.index], cost * own[f"{column}_mean"]
            )
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
