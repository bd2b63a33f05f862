"""Which method is ahead over all tasks: ranks by dominated volume, and if they can differ."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ecqx.results import statistics, style
from ecqx.results.figures import panels
from ecqx.results.figures.layout import Page
from ecqx.results.keys import LEAST_RANKED_TASKS, of_task, tasks_of

_ALPHA = 0.05
_TASK_MARKERS = "osD^v<>ph*dXP8H"
_ENOUGH_TASKS = 5  # Demšar's advice for tests on ranks
_TASKS_SHOWN = 4  # panels of volumes beside the ranks


def ranks(runs: pd.DataFrame, width: str = "page") -> Figure:
    """Rank of every method per task, by the volume that its front of accuracy and size dominates.

    A grey marker per task, a bar of colour at the mean over tasks. A line on top shows the critical
    difference of Nemenyi's test: mean ranks that are closer do not differ at the 5 % level. With
    fewer than four tasks there is nothing to show.

    Parameters
    ----------
    runs : DataFrame, as runs.csv.
    width : {"page", "column"}; on a page, with the volumes themselves beside the ranks: means over
        seeds with 95 % t-intervals, for up to four tasks.
    """
    with style.context():
        styles = panels.styles_of(runs)
        tasks = tasks_of(runs)
        if len(tasks) < LEAST_RANKED_TASKS:
            return panels.nothing(width, f"ranks need at least {LEAST_RANKED_TASKS} tasks")
        height = 0.3 + 0.17 * len(styles)
        volumes = statistics.seed_volumes(runs)
        shown = tasks[:_TASKS_SHOWN] if width == "page" else []
        page = Page(width, [height], 1 + len(shown))
        means = statistics.aggregate(volumes, [*statistics.TASK, "method"], ["volume"])
        table = rank_table(means)
        axis = page.grid[0, 0]
        rows = panels.method_rows(axis, styles)
        for index, task in enumerate(tasks):
            here = of_task(table, task)
            # Tasks of the same rank beneath each other, not on top of each other.
            shift = 0.5 * ((index + 0.5) / len(tasks) - 0.5)
            axis.plot(
                here["rank"], [rows[name] + shift for name in here["method"]], ls="none",
                marker=_TASK_MARKERS[index % len(_TASK_MARKERS)], markersize=3.5,
                markerfacecolor="0.8", markeredgecolor="0.35", markeredgewidth=0.6, zorder=3,
                gid="ranks",
            )  # fmt: skip
        mean_ranks = table.groupby("method", observed=True)["rank"].mean()
        for method, look in styles.items():
            if np.isfinite(mean_ranks.get(method, np.nan)):
                axis.plot(
                    [mean_ranks[method]], [rows[method]], ls="none", marker="|", markersize=11,
                    markeredgewidth=2.2, color=look.color, zorder=3.5, gid="mean ranks",
                )  # fmt: skip
        axis.set_xlim(0.5, len(styles) + 0.5)
        axis.set_xticks(range(1, len(styles) + 1))
        axis.set_xlabel("Rank [–] (1: best)")
        complete = table.pivot(index="method", columns=statistics.TASK, values="rank").notna()
        compared = int(complete.all(axis=1).sum())
        difference = math.nan
        if compared > 1:
            difference = critical_difference(compared, len(tasks))
            _draw_difference(axis, difference, len(styles))
        for column, task in enumerate(shown, start=1):
            _volumes(page, column, task, means, styles)
        handles = [
            Line2D(
                [], [], ls="none", marker=_TASK_MARKERS[index % len(_TASK_MARKERS)], markersize=3.5,
                markerfacecolor="0.8", markeredgecolor="0.35", label=panels.heading(task),
            )
            for index, task in enumerate(tasks)
        ] + [
            Line2D([], [], ls="none", marker="|", markersize=11, markeredgewidth=2.2, color="0.5",
                   label="Mean over tasks")
        ]  # fmt: skip
        if shown:
            handles += panels.training_handles(styles)
        return page.finish(
            {"": handles},
            f"N = {len(tasks)} tasks, ranked by the mean over seeds of the dominated volume.",
            _verdict(difference, compared, len(tasks)),
            panels.seeds_note(means["volume_n"], "volumes", "0") if shown else "",
            panels.absence_note(runs, styles),
        )


def rank_table(means: pd.DataFrame) -> pd.DataFrame:
    """Ranks by ``volume_mean`` within each task: 1 for the largest, ties share their mean rank.

    Returns
    -------
    DataFrame
        dataset, model, method, rank; NaN for a method that does not apply to the task.
    """
    rank = means.groupby(statistics.TASK, observed=True)["volume_mean"].rank(ascending=False)
    return means[[*statistics.TASK, "method"]].assign(rank=rank)


def critical_difference(methods: int, tasks: int, alpha: float = _ALPHA) -> float:
    """Difference of mean ranks above which two methods differ in Nemenyi's test.

    Source: Demšar, Statistical comparisons of classifiers over multiple data sets, JMLR 7, 2006:
    q sqrt(k (k + 1) / (6 N)) for k methods on N tasks, q the quantile of the studentised range
    over infinitely many degrees of freedom, divided by sqrt(2).
    """
    if methods < 2 or tasks < 1:
        raise ValueError(f"methods, tasks: got {methods} and {tasks}, expected at least 2 and 1")
    from scipy.stats import studentized_range  # 0.7 s, for this figure alone

    quantile = studentized_range.ppf(1 - alpha, methods, np.inf) / math.sqrt(2)
    return float(quantile * math.sqrt(methods * (methods + 1) / (6 * tasks)))


def _draw_difference(axis, difference: float, methods: int) -> None:
    """A bar above the rows, from rank 1 on; cut at the right edge if it is longer than the axis."""
    end = min(1 + difference, methods + 0.5)
    at = -0.95
    axis.set_ylim(top=-1.75)
    axis.plot([1, end], [at, at], color="0.2", lw=1.2, clip_on=False, gid="critical difference")
    for x in (1,) if 1 + difference > methods + 0.5 else (1, end):
        axis.plot([x, x], [at - 0.2, at + 0.2], color="0.2", lw=1.2)
    axis.text(
        1.1, at - 0.18, f"critical difference {difference:.1f}", va="bottom", ha="left",
        fontsize=style.NOTE_FONT_SIZE,
    )  # fmt: skip


def _volumes(page: Page, column: int, task, means: pd.DataFrame, styles: dict) -> None:
    axis = page.grid[0, column]
    rows = panels.method_rows(axis, styles, labelled=False)
    axis.set_ylim(page.grid[0, 0].get_ylim())
    here = of_task(means, task).set_index("method")
    for method, look in styles.items():
        if method not in here.index:
            continue
        mean, half = here.loc[method, ["volume_mean", "volume_half_width"]]
        if not np.isfinite(mean):
            axis.text(
                0.03, rows[method], "does not apply", va="center", color="0.4",
                transform=axis.get_yaxis_transform(), fontsize=style.NOTE_FONT_SIZE,
            )  # fmt: skip
            continue
        panels.marks(axis, [mean], [rows[method]], look)
        panels.bars(
            axis, [mean], [rows[method]], [half], color=look.color, x_bounds=panels.POSITIVE
        )
    panels.linear_axis(axis, *panels.limits(here["volume_mean"], least=0.1), which="x", bins=3)
    axis.set_xlabel("Volume [halvings]")
    page.title(axis, panels.heading(task))


def _verdict(difference: float, methods: int, tasks: int) -> str:
    if not math.isfinite(difference):
        return "Of one method alone nothing can be said on differences of ranks."
    text = f"Nemenyi, 5 % level, {methods} methods: critical difference {difference:.1f} ranks"
    if difference >= methods - 1:
        return f"{text}, more than ranks can differ: {tasks} tasks cannot show any difference."
    if tasks < _ENOUGH_TASKS:
        return f"{text}; {tasks} tasks are too few for a test: no significance can follow."
    return f"{text}."
