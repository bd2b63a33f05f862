"""Variants of a method: runs that differ in how it works, not in how far it goes."""

from __future__ import annotations

import pandas as pd

_PREFIX = "p_"
# Numbers that say how a method works; others (bits, lam, thresholds) lead along its front.
_NUMBERS = ("gamma", "dropped", "rho", "p", "momentum", "relevance_interval")
# What a method is known for: a variant with this value is not named after it.
_USUAL = {"relevance": "lrp"}


def variants(runs: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Names for the points of methods that were run in several variants.

    On one front of them all, the best of the variants, or a control, would count for the method.
    Variants differ in a text, a truth value, or one of a few numbers; each is named after what
    varies, such as ``wcam, gamma 10``, ``ecqx, shuffled``.

    Parameters
    ----------
    runs : DataFrame
        As runs.csv.

    Returns
    -------
    dict
        (method, point) -> name, where it is not the method's.
    """
    names = {}
    for method, own in runs.groupby("method", sort=False, observed=True):
        own = own.drop_duplicates("point")
        varying = [
            column
            for column in own.columns
            if column.startswith(_PREFIX)
            and own[column].nunique() > 1
            and _tells_apart(column.removeprefix(_PREFIX), own[column].dropna())
        ]
        for _, point in own.iterrows():
            parts = [method, *(_part(column, point[column]) for column in varying)]
            name = ", ".join(filter(None, parts))
            if name != method:
                names[method, point["point"]] = name
    return names


def by_variant(table: pd.DataFrame, names: dict[tuple[str, str], str]) -> pd.DataFrame:
    """``table``, of (method, point), with the methods of the given points renamed."""
    if not names or table.empty:
        return table
    keys = zip(table["method"], table["point"], strict=True)
    return table.assign(method=[names.get(key, key[0]) for key in keys])


def method_of(name: str) -> str:
    """The method of a variant."""
    return name.partition(", ")[0]


def _tells_apart(parameter: str, values: pd.Series) -> bool:
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    return not numeric or parameter in _NUMBERS


def _part(column: str, value) -> str | None:
    """What a parameter adds to the name."""
    parameter = column.removeprefix(_PREFIX)
    if pd.isna(value) or _USUAL.get(parameter) == value:
        return None
    if isinstance(value, str):
        return value
    return f"{parameter} {value:g}" if not isinstance(value, bool) else f"{parameter} {value}"
