"""Accuracy at equal size: what each method keeps at common compression ratios."""

from __future__ import annotations

import pandas as pd

from ecqx.results import rendering, statistics, style
from ecqx.results.collected import Collected
from ecqx.results.keys import of_task, tasks_of
from ecqx.results.rendering import method_label

NOTE = (
    "Test accuracy [%] at common compression ratios (full-precision size over the size of the "
    "whole bitstream; the R10 series of preferred numbers), read along the front of each seed: "
    "linear over log size between the runs that no other run of the method dominates on "
    "validation data, level from the last of them to the largest measured. Outside of what was "
    "measured a front is undefined (n/a): nothing is extrapolated. In brackets: no run within 10 % "
    "of that size for some seed, read from runs further away; methods are not compared there. "
)


def build(collected: Collected) -> pd.DataFrame:
    """Accuracy at common ratios over seeds.

    Returns
    -------
    DataFrame
        dataset, model, ratio, size_bytes (full-precision size over ratio), method; accuracy and
        accuracy_change as ``_mean``, ``_half_width`` and ``_n``; near (whether every seed with an
        accuracy has a run within 10 % of the size); seeds (of the task). Ratios at which at least
        one method is defined.
    """
    keys = [*statistics.TASK, "ratio", "method"]
    values = ["accuracy", "accuracy_change"]
    at_ratios = collected.at_ratios
    at_ratios = at_ratios[at_ratios["ratio"].isin(statistics.COARSE_RATIOS)]
    table = statistics.aggregate(at_ratios, keys, values)
    defined = at_ratios[at_ratios["accuracy"].notna()]
    near = defined.groupby(keys, observed=True)["near"].all().reset_index()
    table = table.merge(near, on=keys, how="left")
    table["near"] = table["near"].eq(True)
    full = collected.runs.groupby(statistics.TASK, sort=False, observed=True)["size_fp32_bytes"]
    tasks = pd.MultiIndex.from_frame(table[statistics.TASK])
    table.insert(3, "size_bytes", full.first().loc[tasks].to_numpy() / table["ratio"])
    table["seeds"] = collected.seeds_of(table)
    return collected.in_order(table, "ratio", "method")


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: a row per ratio, a column per method."""
    sections = []
    for task in tasks_of(table):
        rows = of_task(table, task)
        methods = style.method_order(rows["method"])
        cells = []
        for ratio, group in rows.groupby("ratio"):
            own = group.set_index("method")
            cells.append(
                [f"{ratio:g}", rendering.number(group["size_bytes"].iloc[0], 1e-3)]
                + [_cell(own.loc[method]) for method in methods]
            )
        headers = ["Ratio [–]", "Size [kB]", *map(method_label, methods)]
        sections.append(rendering.section(style.task_label(*task), headers, cells, names=0))
    return rendering.document("equal_size", table, NOTE, sections)


def _cell(row: pd.Series) -> str:
    interval = row["accuracy_mean"], row["accuracy_half_width"], row["accuracy_n"]
    text = rendering.measure(interval, 100, 1, seeds=row["seeds"])
    return text if row["near"] or not row["accuracy_n"] else f"({text})"
