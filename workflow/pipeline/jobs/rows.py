"""Rows of the collected tables: their columns, and how they are written and read.

Numbers are written so that reading them gives the same number again; an undefined one is empty.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ecqx.results.keys import METHOD_COLUMNS, RUN, parameter_column

RUN_COLUMNS = (
    *RUN,
    "bits",
    "status",
    "accuracy",
    "accuracy_fp32",
    "size_bytes",
    "size_fp32_bytes",
    "compression_ratio",
    "sparsity",
    "entropy_bytes",
    "train_s",
    "peak_memory_bytes",
    "flips",
    "logit_distance",
    "calibration_error",
    "calibration_error_fp32",
    "accuracy_validation",
    "accuracy_validation_fp32",
    "epoch",
    "epochs",
    "accuracy_validation_final",
    "sparsity_final",
    "entropy_bytes_final",
    "bytes_weights",
    "bytes_vectors",
    "bytes_exact",
    "bytes_names",
    "bytes_header",
    "macs",
    "macs_fp32",
    "reason",
)
# Columns of the other tables, by the name of their file.
COLUMNS = {
    "attributions": (
        *RUN,
        "explainer",
        "metric",
        "subset",
        "signed",
        "mean",
        "std",
        "n",
        "degenerate",
    ),
    "gains": (*RUN, "explainer", "network", "map", "signed", "mean", "std", "n"),
    "predictions": (*RUN, "class", "n", "accuracy", "accuracy_fp32", "agreement", "f1", "f1_fp32"),
    "layers": (*RUN, "tensor", "position", "weights", "sparsity", "entropy_bits"),
    "relevance": (
        "dataset",
        "model",
        "seed",
        "tensor",
        "position",
        "weights",
        "spearman",
        "decile",
        "relevance_share",
    ),
    "randomisation": (
        "dataset",
        "model",
        "seed",
        "explainer",
        "layers_randomised",
        "layer",
        "metric",
        "signed",
        "mean",
        "std",
        "n",
    ),
    "skipped": ("dataset", "model", "explainer", "reason"),
    "methods": METHOD_COLUMNS,
}


def run_row(record: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """A row of runs.csv from a run's run.json and metrics.json.

    ``bits`` is how many it takes to number the method's levels, empty for methods without them.
    What the evaluation says of ``status`` and ``reason`` goes before what the compression did.
    """
    params = record["params"]
    values = {**record, **metrics, "bits": _bits(params)}
    row = {column: values[column] for column in RUN_COLUMNS}
    return row | {parameter_column(name): value for name, value in params.items()}


def _bits(params: Mapping[str, Any]) -> int | None:
    levels = params.get("levels")
    return (levels - 1).bit_length() if type(levels) is int else params.get("bits")


def write_runs(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """runs.csv: the fixed columns, then one column per method parameter, sorted."""
    parameters = {name for row in rows for name in row} - set(RUN_COLUMNS)
    _write(path, [*RUN_COLUMNS, *sorted(parameters)], rows)


def write(table: str, path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """A table of ``COLUMNS``, of one job or of all.

    Raises
    ------
    ValueError : a row has a column that is none of the table's.
    """
    _write(path, COLUMNS[table], rows)


def read(path: str | Path) -> list[dict[str, str]]:
    """Rows of a table as they are written, all values as text."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _write(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _text(value) for name, value in row.items()} for row in rows)


def _text(value: Any) -> Any:
    undefined = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if undefined else value
