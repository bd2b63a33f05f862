"""Variants of a method: runs that differ in how it works, not in how far it goes.

Which parameters make variants, and what their usual values are, the methods declare themselves; the
table methods.csv says it to all that is made of collected results.
"""

from __future__ import annotations

import pandas as pd

from ecqx.results.keys import METHOD_COLUMNS, parameter_columns, require_columns


def variants(runs: pd.DataFrame, methods: pd.DataFrame | None = None) -> dict[tuple[str, str], str]:
    """Names for the points of methods that were run in several variants.

    On one front of them all, the best of the variants, or a control, would count for the method.
    Variants differ in parameters of the role ``variant``; each is named after what varies, such as
    ``wcam, gamma 10``, ``ecqx, shuffled``. Usual values, the defaults, are not named.

    Parameters
    ----------
    runs : DataFrame, as runs.csv.
    methods : DataFrame, optional; as methods.csv: method, parameter, kind (int, float, str or
        bool), role (front or variant), default (as text) and label, a row per parameter. Of a
        parameter without a row, numbers lead along the front, texts and truth values make variants,
        and no value is usual.

    Returns
    -------
    dict
        (method, point) -> name, where it is not the method's.

    Raises
    ------
    ValueError : ``methods`` lacks a column.
    """
    declared = _declared(methods)
    columns = parameter_columns(runs.columns)
    if not columns:
        return {}
    names = {}
    # the first value that is known: a failed run may lack its parameters
    points = runs.groupby(["method", "point"], sort=False, observed=True)[list(columns)].first()
    for method, own in points.groupby(level="method", sort=False, observed=True):
        varying = [
            column
            for column, parameter in columns.items()
            if own[column].nunique() > 1
            and _makes_variants(declared.get((method, parameter)), own[column].dropna())
        ]
        for (_, point), row in zip(own.index, own.to_dict("records"), strict=True):
            parts = [
                _part(columns[column], row[column], declared.get((method, columns[column])))
                for column in varying
            ]
            name = ", ".join(filter(None, [method, *parts]))
            if name != method:
                names[method, point] = name
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


def labels(methods: pd.DataFrame | None) -> dict[str, str]:
    """Parameter -> its label, of those of methods.csv that have one; the first where several do."""
    if methods is None:
        return {}
    require_columns(methods, METHOD_COLUMNS, "methods")
    known = methods.dropna(subset="label").drop_duplicates("parameter")
    return dict(zip(known["parameter"], known["label"], strict=True))


def _declared(methods: pd.DataFrame | None) -> dict[tuple[str, str], dict]:
    """(method, parameter) -> its row of methods.csv."""
    if methods is None:
        return {}
    require_columns(methods, METHOD_COLUMNS, "methods")
    return {(row["method"], row["parameter"]): row for row in methods.to_dict("records")}


def _makes_variants(about: dict | None, values: pd.Series) -> bool:
    if about is not None:
        return about["role"] == "variant"
    return any(isinstance(value, str | bool) for value in values)


def _part(parameter: str, value, about: dict | None) -> str | None:
    """What a parameter adds to the name."""
    if pd.isna(value) or (about is not None and _is_default(value, about)):
        return None
    if isinstance(value, str):
        return value
    return f"{parameter} {value}" if isinstance(value, bool) else f"{parameter} {value:g}"


def _is_default(value, about: dict) -> bool:
    if about["kind"] in ("int", "float"):
        return float(value) == float(about["default"])
    return str(value) == str(about["default"])
