"""What each method costs: time and memory of the compression, relative to uniform training."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecqx.results import rendering, statistics
from ecqx.results.collected import Collected
from ecqx.results.rendering import method_label

REFERENCE = "uniform"
_MEASURES = ("train_s", "peak_memory_bytes")
NOTE = (
    "Seconds of processor time (on a GPU: of the clock) and peak memory of one compression: the "
    "median over the finished runs of a seed, since the first run of a job loads libraries, and "
    "its ratio to uniform training of the same task and seed. The ratio is paired by seed, and "
    "given as geometric mean and 95 % t-interval of the logs; n/a "
    "where uniform training was not run or the quantity was not recorded. Caches are shared with "
    "other jobs: ratios are more dependable than seconds. 1 MB = 10^6 bytes. Diverged: not in "
    "the medians, since they stop early. "
)


def build(collected: Collected) -> pd.DataFrame:
    """Costs of a run of each method, over seeds.

    Returns
    -------
    DataFrame
        dataset, model, method; train_s and peak_memory_bytes as ``_mean``, ``_half_width`` and
        ``_n`` (seeds); train_s_ratio and peak_memory_bytes_ratio (to ``uniform`` of the same seed)
        as ``_geomean``, ``_low``, ``_high`` and ``_n``; seeds (of the task); runs, diverged,
        skipped, failed. Memory is NaN where runs.csv does not have it.
    """
    runs = collected.runs
    statistics.require_columns(runs, [*statistics.RUN, "status", "train_s"], "runs")
    statistics.require_distinct_runs(runs)
    ok = runs["status"] == "ok"
    cell = [*statistics.TASK, "method", "seed"]
    costs = pd.DataFrame(
        {
            name: runs[name].astype(float).where(ok) if name in runs.columns else np.nan
            for name in _MEASURES
        },
        index=runs.index,
    )
    seeds = pd.concat([runs[cell], costs], axis=1).groupby(cell)[list(_MEASURES)].median()
    seeds = seeds.reset_index()
    reference = seeds[seeds["method"] == REFERENCE].drop(columns="method")
    index = [*statistics.TASK, "seed"]
    paired = seeds.merge(reference, on=index, how="left", suffixes=("", "_reference"))
    for name in _MEASURES:
        paired[f"{name}_ratio"] = paired[name] / paired[f"{name}_reference"]
    keys = [*statistics.TASK, "method"]
    table = statistics.aggregate(paired, keys, _MEASURES)
    ratios = statistics.aggregate_ratios(paired, keys, [f"{name}_ratio" for name in _MEASURES])
    table = table.merge(ratios, on=keys, validate="one_to_one")
    table["seeds"] = collected.seeds_of(table)
    counts = statistics.count_statuses(runs, keys)
    return collected.in_order(table.merge(counts, on=keys, validate="one_to_one"), "method")


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: a row per method."""
    headers = ["Method", "Time [s]", "Time / uniform", "Peak memory [MB]", "Memory / uniform",
               "Runs", "Diverged"]  # fmt: skip
    sections = rendering.by_task(table, headers, _cells, names=1)
    return rendering.document("costs", table, NOTE, sections)


def _cells(row: dict) -> list[str]:
    def measure(name, factor=1.0, digits=2):
        interval = tuple(row[f"{name}_{part}"] for part in ("mean", "half_width", "n"))
        return rendering.measure(interval, factor, digits, seeds=row["seeds"])

    def ratio(name):
        interval = tuple(row[f"{name}_ratio_{part}"] for part in ("geomean", "low", "high"))
        return rendering.ratio(interval, digits=2)

    return [
        method_label(row["method"]),
        measure("train_s"),
        ratio("train_s"),
        measure("peak_memory_bytes", 1e-6, 1),
        ratio("peak_memory_bytes"),
        str(row["runs"]),
        rendering.without_result(row),
    ]
