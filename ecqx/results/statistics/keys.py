"""What identifies a task, an operating point and a run in the collected tables."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

TASK = ["dataset", "model"]
POINT = [*TASK, "method", "point"]
RUN = [*POINT, "seed"]
ANCHORS = ("identical", "retrained", "random")


def require_columns(frame: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    """Raise ValueError naming the columns that ``frame``, called ``name``, lacks."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"{name}: missing column(s) {', '.join(missing)}")


def require_distinct_runs(runs: pd.DataFrame) -> None:
    """Raise ValueError naming a run that occurs twice."""
    twice = runs.duplicated(RUN)
    if twice.any():
        raise ValueError(f"runs: occurs twice: {'/'.join(map(str, runs.loc[twice, RUN].iloc[0]))}")
