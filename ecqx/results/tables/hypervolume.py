"""The volume that each method dominates, and its rank on each task and over all."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecqx.results import rendering, statistics, style
from ecqx.results.collected import Collected
from ecqx.results.rendering import method_label

METRIC = "pearson"
LEAST_TASKS = 4  # for a mean rank over tasks
NOTE = (
    "Volume under the front of a seed, in halvings of size times share of accuracy kept: a method "
    "that offers the accuracy of full precision at every size of the common range has the whole "
    "range as its volume (the column that says of how much). At every size, the best run on "
    "validation data that is no larger is offered, and counts with its test accuracy, as 2 a / "
    "full precision's - 1, from 0 (half of full precision's accuracy of the same seed); with an "
    "explainer, times the mean Pearson correlation of its maps with full precision's (signed maps, "
    "all samples), from 0. The common range holds the sizes that all methods of the task cover "
    "with every seed; methods without a finished run have volume 0 and do not narrow it, methods "
    "with less than half as many operating points as the one with the most do not compete. A "
    "method that does not apply has none. Mean ± half width of the 95 % t-interval over n seeds, "
    "and the 95 % percentile bootstrap interval of the mean (10,000 resamples of seeds; of three "
    "seeds it is their range and covers less than it says). Rank: 1 is the largest volume of the "
    "task, ties share the mean of their ranks; mean rank: over the tasks with that explainer on "
    "which the method has a volume, their number in brackets, from 4 tasks on. "
)


def build(collected: Collected) -> pd.DataFrame:
    """Dominated volumes over seeds, in two dimensions and with the consistency per explainer.

    Returns
    -------
    DataFrame
        dataset, model, explainer (empty: accuracy and size alone), method, points (operating points
        of the method), ratio_least, ratio_most (the common range); volume_mean, volume_half_width,
        n, seeds (of the task), bootstrap_low, bootstrap_high; rank (NaN without a volume),
        rank_mean and tasks (mean of the ranks over tasks with this explainer, NaN below 4 of them,
        and their number); runs, diverged, skipped, failed.
    """
    runs = collected.runs
    parts = [statistics.seed_volumes(runs).assign(explainer="")]
    if collected.attributions is not None and not collected.attributions.empty:
        for explainer, metric, signed in collected.measures.columns:
            if metric == METRIC and signed:
                parts.append(_with_consistency(collected, explainer))
    volumes = pd.concat(parts, ignore_index=True)
    keys = [*statistics.TASK, "explainer", "method"]
    table = statistics.aggregate(volumes, keys, ["volume"]).rename(columns={"volume_n": "n"})
    groups = volumes.groupby(keys)
    bounds = groups["volume"].agg(lambda own: statistics.bootstrap_interval(own)).to_list()
    table["bootstrap_low"], table["bootstrap_high"] = zip(*bounds, strict=True)
    ranges = groups[["ratio_least", "ratio_most"]].first().reset_index()
    counts = groups[statistics.COUNTED].sum().reset_index()
    for part in (ranges, counts):
        table = table.merge(part, on=keys, validate="one_to_one")
    points = runs.groupby([*statistics.TASK, "method"])["point"].nunique().rename("points")
    table = table.merge(points.reset_index(), on=[*statistics.TASK, "method"])
    table["seeds"] = collected.seeds_of(table)
    on_task = table.groupby([*statistics.TASK, "explainer"])["volume_mean"]
    table["rank"] = on_task.rank(ascending=False, method="average")
    over_tasks = table.groupby(["explainer", "method"])["rank"]
    table["tasks"] = over_tasks.transform("count")
    table["rank_mean"] = over_tasks.transform("mean").where(table["tasks"] >= LEAST_TASKS)
    columns = [*statistics.TASK, "explainer", "method", "points", "ratio_least", "ratio_most",
               "volume_mean", "volume_half_width", "n", "seeds", "bootstrap_low", "bootstrap_high",
               "rank", "rank_mean", "tasks", *statistics.COUNTED]  # fmt: skip
    return collected.in_order(table, "explainer", "method")[columns]


def _with_consistency(collected: Collected, explainer: str) -> pd.DataFrame:
    """Three-dimensional volumes, of the tasks that the explainer applies to."""
    values = collected.measures[(explainer, METRIC, True)]
    tasks = [collected.runs[key] for key in statistics.TASK]
    applies = values.notna().groupby(tasks).transform("any")
    volumes = statistics.seed_volumes(collected.runs[applies], values[applies].to_numpy())
    return volumes.assign(explainer=explainer)


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: a row per explainer and method."""
    headers = ["Third axis", "Method", "Volume [halvings]", "Of", "Bootstrap", "Rank", "Mean rank",
               "Points", "n", "Diverged", "Skipped"]  # fmt: skip
    sections = rendering.by_task(table, headers, _cells, names=2, repeated=1)
    return rendering.document("hypervolume", table, NOTE, sections)


def _cells(row: dict) -> list[str]:
    volume = row["volume_mean"], row["volume_half_width"], row["n"]
    low, high = rendering.number(row["bootstrap_low"]), rendering.number(row["bootstrap_high"])
    width = np.log2(row["ratio_most"] / row["ratio_least"])
    mean_rank = rendering.EMPTY
    if np.isfinite(row["rank_mean"]):
        mean_rank = f"{row['rank_mean']:.2f} ({row['tasks']})"
    return [
        style.label(row["explainer"]) if row["explainer"] else "none",
        method_label(row["method"]),
        rendering.measure(volume, 1, 2, seeds=row["seeds"]),
        rendering.number(max(width, 0.0)),
        f"{low} to {high}" if np.isfinite(row["bootstrap_low"]) else rendering.UNDEFINED,
        f"{row['rank']:g}" if np.isfinite(row["rank"]) else rendering.UNDEFINED,
        mean_rank,
        str(row["points"]),
        str(row["n"]),
        rendering.without_result(row, told=("failed",)),
        str(row["skipped"]),
    ]
