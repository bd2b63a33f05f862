"""Variants of a method: runs that differ in how it works, not in how far it goes."""

from __future__ import annotations

import pandas as pd

_PREFIX = "p_"
# Numbers that say how a method works; others (bits, lam, thresholds) lead along its front.
_NUMBERS = ("gamma", "dropped", "rho", "p", "momentum", "relevance_interval")
# What the published methods do: a variant is named after what is otherwise.
_USUAL = {
    "relevance": "lrp",
    "relevance_of": "quantized",
    "window": "below",
    "p": 0.1,
    "rho": 2.0,
    "momentum": 0.1,
    "relevance_interval": 1,
    "composite": "epsilon_plus_flat",
    "batch_norm": "merge",
    "start": "output",
    "variant": "swa",
    "gamma": 100.0,
    "dropped": 0.3,
    "layers": "",
}


def variants(runs: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Names for the points of methods that were run in several variants.

    On one front of them all, the best of the variants, or a control, would count for the method.
    Variants differ in a text, a truth value, or one of a few numbers; each is named after what
    varies, such as ``wcam, gamma 10``, ``ecqx, shuffled``; one that is as published keeps its name.

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
