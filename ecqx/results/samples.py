"""Values of single samples, of which a collected table has the means, as Parquet files.

A file lies beside the table of the same name. Its columns are those that identify a run, and what
the evaluation says of each sample; what repeats is stored once. The same values give the same
bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from ecqx.results.keys import RUN

_TEXT = pa.dictionary(pa.int32(), pa.string())
_RUN = [("dataset", _TEXT), ("model", _TEXT), ("method", _TEXT), ("point", _TEXT),
        ("seed", pa.int32())]  # fmt: skip
_PAIR = [("sample", pa.int32()), ("target", pa.int32()), ("explainer", _TEXT)]
SCHEMAS = {
    "attributions": pa.schema(
        [*_RUN, *_PAIR, ("metric", _TEXT), ("signed", pa.bool_()), ("value", pa.float32()),
         ("degenerate", pa.bool_()), ("both_correct", pa.bool_())]
    ),
    "gains": pa.schema(
        [*_RUN, *_PAIR, ("network", _TEXT), ("map", _TEXT), ("signed", pa.bool_()),
         ("value", pa.float32())]
    ),
}  # fmt: skip
SUFFIXES = (".parquet",)
# A run has some thousand values. Groups of rows much larger than that pack better, and one is held
# in memory at a time.
_ROWS_AT_ONCE = 500_000


def table_of(name: str, run: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> pa.Table:
    """Samples of one run.

    Parameters
    ----------
    name : a table in ``SCHEMAS``.
    run : dataset, model, method, point and seed.
    columns : the other columns, shape (n,) each, see `ecqx.evaluation.measures`; none: no rows.
        NaN is stored as missing.
    """
    schema = SCHEMAS[name]
    if not columns:
        return schema.empty_table()
    n = len(columns["value"])
    arrays = []
    for field in schema:
        values = np.repeat(run[field.name], n) if field.name in run else columns[field.name]
        if field.type == _TEXT:
            arrays.append(pa.array(values, pa.string()).dictionary_encode().cast(_TEXT))
        else:
            arrays.append(pa.array(values, field.type, from_pandas=True))
    return pa.Table.from_arrays(arrays, schema=schema)


def write(path: str | Path, name: str, tables: Iterable[pa.Table]) -> None:
    """Write tables below each other, see `table_of` and `read`."""
    with parquet.ParquetWriter(path, SCHEMAS[name], compression="zstd") as writer:
        waiting, rows = [], 0
        for table in tables:
            waiting.append(table)
            rows += table.num_rows
            if rows >= _ROWS_AT_ONCE:
                writer.write_table(pa.concat_tables(waiting).unify_dictionaries())
                waiting, rows = [], 0
        if rows:
            writer.write_table(pa.concat_tables(waiting).unify_dictionaries())


def read(path: str | Path, name: str) -> pa.Table:
    """A file that `write` wrote; ``pandas.read_parquet`` reads it as well.

    Raises
    ------
    ValueError : it has other columns, or is damaged.
    """
    try:
        # cast refuses other columns
        return parquet.read_table(path).cast(SCHEMAS[name])
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def runs_of(table: pa.Table) -> pd.MultiIndex:
    """The run of each row, by the columns of ``RUN``."""
    return pd.MultiIndex.from_frame(table.select(RUN).to_pandas())


def without_runs(table: pa.Table, known: pd.MultiIndex) -> pa.Table:
    """The rows of other runs than the known ones, see `runs_of`."""
    return table.filter(pa.array(~runs_of(table).isin(known)))
