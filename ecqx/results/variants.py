"""Variants of a method: runs that differ in how it works, not in how far it goes.

Which parameters make variants, and what their usual values are, the methods declare themselves; the
table methods.csv says it to all that is made of collected results.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from numbers import Real

import pandas as pd

from ecqx.results.keys import METHOD_COLUMNS, parameter_columns, require_columns

# name~value, as the names of operating points are made
_SETTING = re.compile(r"(?:^|_)([A-Za-z]\w*?)~(.+?)(?=_[A-Za-z]\w*?~|$)", re.ASCII)
_POINT_WORDS = {"bits": "{} bits", "levels": "{} levels"}
_NEEDED = [column for column in METHOD_COLUMNS if column != "words"]  # which older tables lack


def variants(runs: pd.DataFrame, methods: pd.DataFrame | None = None) -> dict[tuple[str, str], str]:
    """Names for the points of methods that were run in several variants.

    On one front of them all, the best of the variants, or a control, would count for the method.
    Variants differ in parameters of the role ``variant``. Whatever differs from the usual value,
    the default, is named, even if no other run has that: ``wcam, γ 10``, ``ecqx, window below``.

    Parameters
    ----------
    runs : DataFrame, as runs.csv.
    methods : DataFrame, optional; as methods.csv: method, parameter, kind (int, float, str or
        bool), role (front or variant), default (as text), label and words, a row per parameter.
        Of a parameter without a row, numbers lead along the front, texts and truth values make
        variants where they vary, and no value is usual.

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
        naming = [
            column
            for column, parameter in columns.items()
            if _makes_variants(declared.get((method, parameter)), own[column].dropna())
        ]
        for (_, point), row in zip(own.index, own.to_dict("records"), strict=True):
            parts = [
                _part(columns[column], row[column], declared.get((method, columns[column])))
                for column in naming
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
    require_columns(methods, _NEEDED, "methods")
    known = methods.dropna(subset="label").drop_duplicates("parameter")
    return dict(zip(known["parameter"], known["label"], strict=True))


def point_labels(
    points: Iterable[tuple[str, str]], methods: pd.DataFrame | None = None
) -> dict[tuple[str, str], str]:
    """Operating points in words: ``bits~4_lam~0.05`` is ``4 bits, λ 0.05``.

    Parameters
    ----------
    points : iterable of (method, point); methods may be variants.
    methods : DataFrame, optional; as methods.csv.

    Returns
    -------
    dict
        (method, point) -> words.
    """
    declared = _declared(methods)
    found = {}
    for method, point in points:
        parts = []
        for name, value in _SETTING.findall(point):
            about = declared.get((method_of(method), name), {})
            words = _POINT_WORDS.get(name) or _words(name, about)
            parts.append(words.replace("{}", value.replace("_", " ")))
        # a point without parameters is the method with its defaults
        found[method, point] = ", ".join(parts) or point
    return found


def _declared(methods: pd.DataFrame | None) -> dict[tuple[str, str], dict]:
    """(method, parameter) -> its row of methods.csv."""
    if methods is None:
        return {}
    require_columns(methods, _NEEDED, "methods")
    return {(row["method"], row["parameter"]): row for row in methods.to_dict("records")}


def _makes_variants(about: dict | None, values: pd.Series) -> bool:
    if about is not None:
        return about["role"] == "variant"
    return values.nunique() > 1 and any(isinstance(value, str | bool) for value in values)


def _part(parameter: str, value, about: dict | None) -> str | None:
    """What a parameter adds to the name."""
    if pd.isna(value) or (about is not None and _is_default(value, about)):
        return None
    shown = f"{value:g}" if isinstance(value, Real) and not isinstance(value, bool) else str(value)
    return _words(parameter, about or {}).replace("{}", shown.replace("_", " "))


def _words(parameter: str, about: dict) -> str:
    """What a name says of a value, with {} in its place: as declared, or the symbol before it."""
    declared, label = (about.get(column) for column in ("words", "label"))
    if isinstance(declared, str) and declared:
        return declared
    symbol, colon, _ = label.partition(":") if isinstance(label, str) else ("", "", "")
    return (symbol if colon else parameter.replace("_", " ")) + " {}"


def _is_default(value, about: dict) -> bool:
    if about["kind"] in ("int", "float"):
        return float(value) == float(about["default"])
    return str(value) == str(about["default"])
