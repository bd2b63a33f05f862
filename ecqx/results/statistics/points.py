"""Operating points: their runs over seeds, and full precision beside them."""

from __future__ import annotations

import pandas as pd

from ecqx.results import keys
from ecqx.results.keys import POINT, RUN, TASK
from ecqx.results.statistics import intervals

QUANTITIES = (
    "accuracy",
    "accuracy_change",
    "size_bytes",
    "compression_ratio",
    "sparsity",
    "entropy_bytes",
)
COUNTED = ["runs", "diverged", "skipped", "failed"]  # the columns of count_statuses


def count_statuses(runs: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """How many runs there are, and how many ended without a result, per group of ``by``.

    Returns
    -------
    DataFrame
        ``by``; runs, diverged, skipped, failed (counts).
    """
    counted = runs[by].assign(runs=1)
    for status in COUNTED[1:]:
        counted[status] = (runs["status"] == status).astype(int)
    return counted.groupby(by, observed=True).sum().reset_index()


def aggregate_points(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per operating point (dataset, model, method, point), over its seeds.

    Returns
    -------
    DataFrame
        The keys; ``ok``, ``runs``, ``diverged``, ``skipped``, ``failed`` (counts); ``complete``
        (every run is ok and has an accuracy and a size); and ``_mean``, ``_half_width``, ``_n`` of
        accuracy, accuracy_change, size_bytes, compression_ratio, sparsity and entropy_bytes.
        accuracy_change is accuracy minus the full-precision accuracy of the same seed, so that its
        interval is a paired one.

    Raises
    ------
    ValueError : a column is missing, or a run occurs twice.
    """
    needed = [*RUN, "status", "accuracy_fp32", *(q for q in QUANTITIES if q != "accuracy_change")]
    keys.require_columns(runs, needed, "runs")
    keys.require_distinct_runs(runs)
    runs = runs.assign(accuracy_change=runs["accuracy"] - runs["accuracy_fp32"])
    ok = runs["status"] == "ok"
    runs[list(QUANTITIES)] = runs[list(QUANTITIES)].astype(float).where(ok)
    points = intervals.aggregate(runs, POINT, QUANTITIES)
    points = count_statuses(runs, POINT).merge(points, on=POINT, validate="one_to_one")
    lost = points[COUNTED[1:]].sum(axis=1)
    points.insert(len(POINT), "ok", points["runs"] - lost)
    complete = (
        (points["ok"] == points["runs"])
        & (points["accuracy_n"] == points["runs"])
        & (points["size_bytes_n"] == points["runs"])
    )
    points.insert(points.columns.get_loc("failed") + 1, "complete", complete)
    return points


def trained(runs: pd.DataFrame) -> dict[str, bool]:
    """Whether each method was trained: whether a finished run of it has an epoch.

    A method without a finished run may or may not have been: it is left out, as all are from tables
    without the column ``epoch``.
    """
    if "epoch" not in runs:
        return {}
    ok = runs[runs["status"] == "ok"]
    return ok["epoch"].notna().groupby(ok["method"], observed=True).any().to_dict()


def full_precision(runs: pd.DataFrame) -> pd.DataFrame:
    """Accuracy and size of the full-precision network of each task, one value per seed.

    Returns
    -------
    DataFrame
        dataset, model, and ``_mean``, ``_half_width``, ``_n`` of accuracy and size_bytes; tasks in
        the order in which they occur.
    """
    keys.require_columns(runs, [*TASK, "seed", "accuracy_fp32", "size_fp32_bytes"], "runs")
    # Every run of a seed repeats the same reference; those without a result may lack it
    # ("first" skips NaN).
    seeds = (
        runs.groupby([*TASK, "seed"], observed=True)[["accuracy_fp32", "size_fp32_bytes"]]
        .first()
        .reset_index()
        .rename(columns={"accuracy_fp32": "accuracy", "size_fp32_bytes": "size_bytes"})
    )
    order = runs[TASK].drop_duplicates()
    return order.merge(
        intervals.aggregate(seeds, TASK, ["accuracy", "size_bytes"]), on=TASK, how="left"
    )
