"""Which numeric parameters were swept: those that a sensitivity figure can be drawn of.

Nothing here imports pandas or torch: the workflow asks for the names of figures while it plans.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

from ecqx.results.keys import parameter_columns

if TYPE_CHECKING:
    import pandas as pd


def in_points(points: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """Numeric parameters with several values between points that are alike in all others.

    Parameters
    ----------
    points : mapping, method -> name of the point -> parameter -> value.

    Returns
    -------
    list of str
        Sorted.
    """
    values: dict[tuple, set] = {}
    for method, own in points.items():
        for point in own.values():
            for name, value in point.items():
                if isinstance(value, Real) and not isinstance(value, bool):
                    others = frozenset(item for item in point.items() if item[0] != name)
                    values.setdefault((method, name, others), set()).add(value)
    return sorted({name for (_, name, _), found in values.items() if len(found) > 1})


def in_runs(runs: pd.DataFrame) -> list[str]:
    """The same of collected runs.

    Parameters
    ----------
    runs : DataFrame, as runs.csv.
    """
    columns = parameter_columns(runs.columns)
    if not columns:
        return []
    points: dict[str, dict] = {}
    # the first value that is known: a failed run may lack its parameters
    rows = runs.groupby(["method", "point"], observed=True)[list(columns)].first()
    rows = rows.astype(object).where(rows.notna(), None)
    for (method, point), row in zip(rows.index, rows.to_dict("records"), strict=True):
        known = {columns[name]: value for name, value in row.items() if value is not None}
        points.setdefault(method, {})[point] = known
    return in_points(points)
