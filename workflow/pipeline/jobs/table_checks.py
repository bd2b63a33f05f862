"""Collected rows against their schemas: what is wrong is named with the row and the column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator

from ecqx.results.keys import RUN


def check_runs(runs: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]) -> None:
    """Rows of runs.csv, each as a whole.

    Raises
    ------
    ValueError : naming the run, the column and what is wrong with it.
    """
    validator = Draft202012Validator(schema)
    for row in runs:
        if error := next(validator.iter_errors(row), None):
            path = ".".join(map(str, error.path))
            raise ValueError(f"{_where(row)}: {path}: {error.message}")


def check_columns(table: str, rows: Sequence[Mapping[str, str]], schema: Mapping[str, Any]) -> None:
    """Rows of another table, as they are read from files: every distinct value of every column.

    A hundred thousand rows are checked in about a second; row by row it would take minutes.

    Parameters
    ----------
    table : its name, for messages.
    rows : column -> text.
    schema : ``properties`` has a schema for each of the table's columns.

    Raises
    ------
    ValueError : naming table, row, column and what is wrong with it.
    """
    for column, rule in schema["properties"].items():
        validator = Draft202012Validator(rule)
        is_text = "string" in rule.get("type", ()) or "enum" in rule
        for text in dict.fromkeys(row.get(column) for row in rows):
            if text is None:
                row = next(row for row in rows if row.get(column) is None)
                raise ValueError(f"{table}: {_where(row)}: {column}: the row has no such column")
            value = text if is_text else _value(text)
            if error := next(validator.iter_errors(value), None):
                row = next(row for row in rows if row.get(column) == text)
                raise ValueError(f"{table}: {_where(row)}: {column}: {error.message}")


def _value(text: str) -> Any:
    """What a text of a table stands for."""
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None


def _where(row: Mapping[str, Any]) -> str:
    return "/".join(str(row[key]) for key in RUN if key in row)
