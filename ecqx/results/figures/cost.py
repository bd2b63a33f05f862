"""What a method costs: training time against uniform quantization, and peak memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ecqx.results import statistics, style
from ecqx.results.figures import panels
from ecqx.results.figures.layout import Page, grid_of_blocks
from ecqx.results.keys import of_task, tasks_of

_BASE = "uniform"
_MEGABYTE = 1e6
_ACROSS = 3


def training_cost(runs: pd.DataFrame, width: str = "page") -> Figure:
    """Training time of an operating point relative to uniform training [log]; peak memory [MB].

    Per seed, the median over a method's operating points over that of uniform training; markers
    are means over seeds with 95 % t-intervals, of times those of their logarithms: geometric means.
    Seconds instead, where uniform training was not
    run. Memory is shown where ``runs`` has the column peak_memory_bytes with values.

    Parameters
    ----------
    runs : DataFrame, as runs.csv.
    width : {"page", "column"}; tasks side by side, memory below; or a row per task, memory beside.
    """
    with style.context():
        statistics.require_columns(runs, [*statistics.RUN, "status", "train_s"], "runs")
        tasks, styles = tasks_of(runs), panels.styles_of(runs)
        if not tasks:
            return panels.nothing(width, "no runs")
        seconds = _per_seed(runs, "train_s")
        quantities = [(relative_time(seconds), "Time / Uniform QAT [–]", True)]
        if not (runs["method"] == _BASE).any():
            quantities = [(seconds, "Training time [s]", True)]
        memory = "peak_memory_bytes" in runs and runs["peak_memory_bytes"].notna().any()
        if memory:
            table = _per_seed(runs, "peak_memory_bytes")
            table["value"] /= _MEGABYTE
            quantities.append((table, "Peak memory [MB]", False))
        height = 0.12 + 0.15 * len(styles)
        page, cells = _cells(width, len(tasks), len(quantities), height)
        counts = []
        for (t, q), axis in cells.items():
            if t >= len(tasks):
                panels.empty_panel(axis, "")
                continue
            table, words, logarithmic = quantities[q]
            first = axis in page.grid[:, 0]
            counts += _panel(axis, of_task(table, tasks[t]), styles, first, logarithmic)
            if width == "page" or t == len(tasks) - 1:
                axis.set_xlabel(words)
            if width == "page" and q == 0:
                own = of_task(seconds, tasks[t])
                page.title(axis, _heading(tasks[t], own, "\n"))
            elif width == "column" and q == 0:
                own = of_task(seconds, tasks[t])
                page.title_row(t, _heading(tasks[t], own, "; "))
        return page.finish(
            {"": panels.training_handles(styles)},
            panels.seeds_note(counts),
            "Times: geometric means, intervals of logarithms.",
            "Per seed: median over the operating points of a method.",
            "1 MB = 10⁶ bytes; resident memory of the process, libraries included, or of its GPU."
            if memory
            else "",
            panels.absence_note(runs, styles),
        )


def relative_time(seconds: pd.DataFrame) -> pd.DataFrame:
    """``value`` over that of uniform training of the same task and seed."""
    base = seconds[seconds["method"] == _BASE].rename(columns={"value": "base"})
    keys = [*statistics.TASK, "seed"]
    merged = seconds.merge(base[[*keys, "base"]], on=keys, how="left", validate="many_to_one")
    return merged.assign(value=merged["value"] / merged["base"]).drop(columns="base")


def _per_seed(runs: pd.DataFrame, column: str) -> pd.DataFrame:
    """Median of a column over the ok operating points of a task, method and seed, as ``value``."""
    ok = runs[runs["status"] == "ok"]
    keys = [*statistics.TASK, "method", "seed"]
    values = ok[column].astype(float)
    return ok[keys].assign(value=values).groupby(keys, observed=True, as_index=False).median()


def _cells(width: str, tasks: int, quantities: int, height: float):
    if width == "column":
        page = Page(width, [height] * tasks, quantities)
        return page, {(t, q): page.grid[t, q] for t in range(tasks) for q in range(quantities)}
    blocks, columns = grid_of_blocks(tasks, _ACROSS)
    page = Page(width, [height] * (blocks * quantities), columns)
    return page, {
        (t, q): page.grid[(t // columns) * quantities + q, t % columns]
        for t in range(blocks * columns)
        for q in range(quantities)
    }


def _panel(axis, table: pd.DataFrame, styles: dict, labelled: bool, logarithmic: bool) -> list[int]:
    rows = panels.method_rows(axis, styles, labelled)
    if logarithmic:
        table = table.assign(value=np.log10(table["value"].where(table["value"] > 0)))
    means = statistics.aggregate(table, ["method"], ["value"]).set_index("method")
    for method, look in styles.items():
        mean = means["value_mean"].get(method, np.nan)
        if not np.isfinite(mean):
            axis.text(
                0.03, rows[method], "no result", va="center", color="0.4",
                transform=axis.get_yaxis_transform(), fontsize=style.NOTE_FONT_SIZE,
            )  # fmt: skip
            continue
        half = means.loc[method, "value_half_width"]
        if logarithmic:
            low, mean, high = 10.0 ** np.array([mean - half, mean, mean + half])
            half = [[mean - low], [high - mean]]
        panels.marks(axis, [mean], [rows[method]], look)
        panels.bars(axis, [mean], [rows[method]], np.reshape(half, (-1, 1)), color=look.color,
                    x_bounds=panels.POSITIVE)  # fmt: skip
    if logarithmic:
        panels.log_axis(axis, 10 ** table["value"], least=0.2)
        axis.axvline(1, color="0.3", lw=0.7, zorder=1)
    else:
        low, high = panels.limits(table["value"], least=10)
        panels.linear_axis(axis, max(low, 0), high, which="x", bins=3)
    return list(means["value_n"])


def _heading(task, seconds: pd.DataFrame, between: str) -> str:
    base = seconds.loc[seconds["method"] == _BASE, "value"].mean()
    if not np.isfinite(base):
        return panels.heading(task)
    return f"{panels.heading(task)}{between}Uniform QAT: {base:.3g} s"
