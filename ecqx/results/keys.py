"""Names that the collected tables, all that is made of them, and the workflow share.

Nothing here imports pandas or torch: the workflow reads this module while it plans.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# Counted up when the same method, data and settings would get other numbers: data sets and their
# splits, seeds, budgets by default, what is measured and how. Results of two versions are never put
# together.
BENCHMARK_VERSION = 1
# Counted up when a column of the collected tables gets another name or meaning, or is taken away.
SCHEMA_VERSION = 1

TASK = ["dataset", "model"]
POINT = [*TASK, "method", "point"]
RUN = [*POINT, "seed"]
ANCHORS = ("identical", "retrained", "random")
# How a run ended. Ok: there is a network and its measures. Diverged: training left the finite
# numbers. Failed: the method or the evaluation raised. Skipped: the method does not apply.
STATUSES = ("ok", "diverged", "failed", "skipped")
LOST = STATUSES[1:]
PARAMETER_PREFIX = "p_"
# The parameters that every method has: what a point changes of the budget of its task, and whether
# it is refined or distilled. Without a value, the task's own, and not. See
# ecqx.compression.budgeting.
OVERRIDES = ("learning_rate", "epochs_factor", "refine", "distil")
LEAST_RANKED_TASKS = 4  # with fewer, ranks over tasks say nothing

# The tables that the workflow collects, by the names of their files.
COLLECTED = (
    "runs",
    "attributions",
    "gains",
    "predictions",
    "layers",
    "relevance",
    "randomisation",
    "skipped",
    "methods",
)
METHOD_COLUMNS = ("method", "parameter", "kind", "role", "default", "label", "words")
# The tables that are made of them: name of the files -> title. See ecqx.results.tables.
TABLES = {
    "summary": "Summary",
    "smallest": "Smallest networks",
    "operating_points": "Operating points by bit width",
    "equal_size": "Accuracy at equal size",
    "equal_accuracy": "Size at equal accuracy",
    "contrasts": "Planned contrasts",
    "claims": "What was claimed, and what comes out here",
    "ablation": "What each part adds, exploratory",
    "comparisons": "Methods at equal size, exploratory",
    "hypervolume": "Dominated volume",
    "costs": "Costs of compression",
    "parts": "Bytes by part",
    "tuning": "Learning rates",
    "matching": "Localisation with and without attribution matching",
    "routes": "The routes of WCAM",
    "closeness": "Attributions at equal size",
    "metric_agreement": "Agreement of the metrics",
    "complexity": "Complexity of maps",
    "faithfulness": "Faithfulness of maps",
    "alignment": "Alignment of maps with the function",
    "agreement": "Agreement of predictions",
    "classes": "Accuracy by class",
    "sanity": "Sanity checks of explainers",
    "published": "Published and measured",
    "failures": "Runs without a result",
    "coverage": "What was run",
}


def parameter_column(parameter: str) -> str:
    """The column of runs.csv that holds a parameter of the methods."""
    return PARAMETER_PREFIX + parameter


def parameter_columns(columns: Iterable[str]) -> dict[str, str]:
    """Column -> parameter, of those of ``columns`` that hold a parameter."""
    return {
        column: column.removeprefix(PARAMETER_PREFIX)
        for column in columns
        if column.startswith(PARAMETER_PREFIX)
    }


def tasks_of(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """The (dataset, model) of a table in the order in which they occur."""
    return list(frame[TASK].drop_duplicates().itertuples(index=False, name=None))


def of_task(frame: pd.DataFrame, task: tuple[str, str]) -> pd.DataFrame:
    """The rows of one task."""
    return frame[(frame["dataset"] == task[0]) & (frame["model"] == task[1])]


def require_columns(frame: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    """Check that a table has the columns it is asked for.

    Raises
    ------
    ValueError : ``frame``, called ``name``, lacks columns; the message names them.
    """
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"{name}: missing column(s) {', '.join(missing)}")


def require_distinct_runs(runs: pd.DataFrame) -> None:
    """Check that every run has one row.

    Raises
    ------
    ValueError : a run occurs twice; the message names it.
    """
    twice = runs.duplicated(RUN)
    if twice.any():
        raise ValueError(f"runs: occurs twice: {'/'.join(map(str, runs.loc[twice, RUN].iloc[0]))}")
