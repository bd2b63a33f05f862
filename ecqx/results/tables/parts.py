"""What the bytes of the artefacts are spent on: weights, or all that comes with them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecqx.results import keys, rendering, statistics
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.rendering import method_label

# What a bitstream is made of, see ecqx.compression.artefact.bitstream.parts.
PARTS = {
    "weights": "Weights [B]",
    "vectors": "Vectors [B]",
    "exact": "Exact [B]",
    "names": "Names [B]",
    "header": "Header [B]",
}
NOTE = (
    "Bytes of the bitstreams of each method's smallest and largest operating point (mean size over "
    "seeds), mean over seeds. Weights: the quantized ones. Vectors: a scale and a shift for each "
    "channel of a batch norm, biases, and what else has one dimension. Exact: buffers. Names: of "
    "the tensors, with their shapes. Header: of the bitstream and its units, with the checksum. "
    "Rest: all but the weights; bound: the compression ratio that it alone would leave. "
)


def build(collected: Collected) -> pd.DataFrame:
    """Mean bytes by part of each method's smallest and largest operating point.

    Returns
    -------
    DataFrame
        dataset, model, method, point; size_bytes and one column per part (means over seeds), n
        (runs), rest (bytes that are not weights), bound (full precision over rest), seeds (of the
        task).

    Raises
    ------
    Unavailable : the runs were not taken apart.
    """
    runs = collected.runs
    columns = {f"bytes_{part}": part for part in PARTS}
    if not set(columns) <= set(runs.columns) or runs[list(columns)].isna().all().all():
        raise Unavailable("the runs have no bytes by part")
    ok = runs[(runs["status"] == "ok") & runs[list(columns)].notna().all(axis=1)]
    named = ok.rename(columns=columns)
    measures = ["size_bytes", *PARTS, "size_fp32_bytes"]
    cells = named.groupby(keys.POINT, sort=False)[measures]
    points = cells.mean().join(cells.size().rename("n")).reset_index()
    sizes = points.groupby([*statistics.TASK, "method"], sort=False)["size_bytes"]
    ends = np.unique(np.concatenate([sizes.idxmin(), sizes.idxmax()]))
    table = points.loc[ends].copy()
    table["rest"] = table["size_bytes"] - table["weights"]
    table["bound"] = table["size_fp32_bytes"] / table["rest"]
    table = table.drop(columns="size_fp32_bytes")
    table["seeds"] = collected.seeds_of(table)
    return collected.in_order(table, "method", "size_bytes")


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: two rows per method."""
    headers = ["Method", "Operating point", *PARTS.values(), "Rest [B]", "Bound [–]", "n"]
    sections = rendering.by_task(table, headers, _cells, names=2, repeated=1)
    return rendering.document("parts", table, NOTE, sections)


def _cells(row: dict) -> list[str]:
    return [
        method_label(row["method"]),
        row["point"],
        *(rendering.number(row[name], digits=0) for name in (*PARTS, "rest")),
        rendering.number(row["bound"], digits=0),
        str(row["n"]),
    ]
