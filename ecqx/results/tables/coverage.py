"""What was run: the operating points and seeds of each method on each task, and what is missing."""

from __future__ import annotations

import pandas as pd

from ecqx.results import keys, rendering, style
from ecqx.results.collected import Collected
from ecqx.results.rendering import method_label

MISSING = "missing"
NOTE = (
    "Operating points × seeds of each method on each task, with the runs in brackets where some "
    "are not there. Missing: no run of that method on that task, as results that were put together "
    "of several may have it; other tables and figures show nothing of it."
)


def build(collected: Collected) -> pd.DataFrame:
    """Counts for every method on every task, those without a run included.

    Returns
    -------
    DataFrame
        dataset, model, method, points, seeds, runs (counts; all 0 where there is no run).
    """
    counted = (
        collected.runs.groupby([*keys.TASK, "method"], sort=False, observed=True)
        .agg(points=("point", "nunique"), seeds=("seed", "nunique"), runs=("seed", "size"))
        .reset_index()
    )
    tasks = pd.DataFrame(keys.tasks_of(collected.runs), columns=keys.TASK)
    methods = pd.DataFrame({"method": style.method_order(collected.runs["method"])})
    table = tasks.merge(methods, how="cross").merge(counted, on=[*keys.TASK, "method"], how="left")
    numbers = ["points", "seeds", "runs"]
    table[numbers] = table[numbers].fillna(0).astype(int)
    return collected.in_order(table, "method")


def document(table: pd.DataFrame) -> rendering.Document:
    """One section: a row per method, a column per task."""
    tasks = keys.tasks_of(table)
    headers = ["Method", *(style.task_label(*task) for task in tasks)]
    rows = []
    for method in dict.fromkeys(table["method"]):
        own = table[table["method"] == method]
        cells = [_cell(keys.of_task(own, task).iloc[0]) for task in tasks]
        rows.append([method_label(method), *cells])
    title = keys.TABLES["coverage"]
    sections = [rendering.section("Methods and tasks", headers, rows, names=1)]
    return rendering.Document("coverage", title, NOTE, sections)


def _cell(row: pd.Series) -> str:
    if not row["runs"]:
        return MISSING
    text = f"{row['points']} × {row['seeds']}"
    whole = row["points"] * row["seeds"]
    return text if row["runs"] == whole else f"{text} ({row['runs']} of {whole})"
