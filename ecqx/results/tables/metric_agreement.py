"""Which consistency metrics say the same: their rank correlations over compressed networks."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from ecqx.results import rendering, style
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.keys import TABLES, TASK
from ecqx.results.metrics import consistency

LEAST_RUNS = 5
NOTE = (
    "Spearman's rank correlation between the values that two consistency metrics give the runs of "
    "one task under one explainer (signed maps, mean over all evaluated samples), over all "
    "finished runs of all methods: near 1, the two order the runs alike, and one of them is "
    "enough. Mean over all cells of task and explainer, and in brackets the lowest and the "
    "highest cell. Normalised L2 is a distance: its correlations with similarities are negative. "
    "Runs of one task share data and full-precision networks, and the correlations carry no test "
    "for that reason. "
)


def build(collected: Collected) -> pd.DataFrame:
    """Rank correlation of every two consistency metrics.

    Returns
    -------
    DataFrame
        metric, other; correlation_mean, correlation_least, correlation_most over cells (a task
        under an explainer with at least 5 runs that have both metrics, and a spread in both);
        cells, runs (sum over cells). A metric with itself is left out.

    Raises
    ------
    Unavailable : there are no attributions, or fewer than two consistency metrics.
    """
    measures = collected.measures
    known = consistency()
    compared = [
        (explainer, metric)
        for explainer, metric, signed in measures.columns
        if signed and metric in known
    ]
    metrics = style.metric_order({metric for _, metric in compared})
    if len(metrics) < 2:
        raise Unavailable("fewer than two consistency metrics were measured")
    ok = (collected.runs["status"] == "ok").to_numpy()
    groups = collected.runs.groupby(TASK, observed=True).indices
    found = {pair: [] for pair in itertools.combinations(metrics, 2)}
    for rows in groups.values():
        here = measures.iloc[rows[ok[rows]]]
        for explainer in dict.fromkeys(explainer for explainer, _ in compared):
            own = [metric for metric in metrics if (explainer, metric) in compared]
            values = here[[(explainer, metric, True) for metric in own]]
            present = values.notna().to_numpy().astype(int)
            together = present.T @ present
            matrix = values.corr(method="spearman", min_periods=LEAST_RUNS).to_numpy()
            for i, j in itertools.combinations(range(len(own)), 2):
                if np.isfinite(matrix[i, j]):
                    found[own[i], own[j]].append((matrix[i, j], together[i, j]))
    rows = []
    for (metric, other), cells in found.items():
        correlations = [correlation for correlation, _ in cells]
        rows.append(
            {
                "metric": metric,
                "other": other,
                "correlation_mean": np.mean(correlations) if cells else np.nan,
                "correlation_least": min(correlations, default=np.nan),
                "correlation_most": max(correlations, default=np.nan),
                "cells": len(cells),
                "runs": int(sum(runs for _, runs in cells)),
            }
        )
    return pd.DataFrame(rows)


def document(table: pd.DataFrame) -> rendering.Document:
    """The upper half of the matrix, a row and a column per metric."""
    metrics = style.metric_order({*table["metric"], *table["other"]})
    known = {(row["metric"], row["other"]): row for row in table.to_dict("records")}
    cells = []
    for metric in metrics[:-1]:
        cells.append([style.label(metric)])
        for other in metrics[1:]:
            row = known.get((metric, other))
            cells[-1].append("" if row is None else _cell(row))
    section = rendering.section(
        "all tasks", ["Metric", *map(style.label, metrics[1:])], cells, names=1
    )
    count = table["cells"].max()
    note = NOTE + f"At most {count} cells."
    return rendering.Document("metric_agreement", TABLES["metric_agreement"], note, [section])


def _cell(row: dict) -> str:
    if not row["cells"]:
        return rendering.UNDEFINED
    least, most = row["correlation_least"], row["correlation_most"]
    return f"{row['correlation_mean']:.2f} ({least:.2f} to {most:.2f})"
