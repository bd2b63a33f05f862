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
    """A section per task: a row per method."""
    sections = rendering.by_task(table, ["Method", "Points × seeds"], _cells, names=1)
    return rendering.Document("coverage", keys.TABLES["coverage"], NOTE, sections)


def _cells(row: dict) -> list[str]:
    text = f"{row['points']} × {row['seeds']}"
    whole = row["points"] * row["seeds"]
    if row["runs"] < whole:
        text += f" ({row['runs']} of {whole})"
    return [method_label(row["method"]), text if row["runs"] else MISSING]
