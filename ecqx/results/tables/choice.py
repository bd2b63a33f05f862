"""Which operating point of a method is taken, under what it may cost in accuracy.

Where runs.csv has the accuracy on validation data, each seed chooses its own point on it, as a user
would, and the interval over seeds holds the chance in that choice as well. Otherwise points are
chosen on their mean test accuracy over seeds, which describes the front that was reached.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecqx.results import statistics
from ecqx.results.tables import rendering
from ecqx.results.tables.collected import Collected

VALIDATION = ("accuracy_validation", "accuracy_validation_fp32")
TOLERATED_DROP = {
    "best_accuracy": None,
    "no_degradation": 0.0,
    "within_half_a_point": 0.005,
    "within_1_point": 0.01,
    "within_2_points": 0.02,
}
CRITERIA = {
    "best_accuracy": "best accuracy",
    "no_degradation": "no degradation",
    "within_half_a_point": "within 0.5 points",
    "within_1_point": "within 1 point",
    "within_2_points": "within 2 points",
}
MEASURES = ("accuracy", "accuracy_change", "sparsity", "size_bytes", "compression_ratio")
CHOSEN_ON = {
    "validation": "Each seed chooses its own point on validation accuracy; all numbers are on test "
    "data. In brackets behind a point: how many seeds chose it.",
    "test": "Selected on test: points are chosen on the mean test accuracy over seeds, and those "
    "with a diverged, skipped or missing run are not eligible. This describes the front that was "
    "reached, not a model tuned on validation data.",
}
_ROUNDING = 1e-9  # a drop of exactly one point counts as within one point, whatever its last bit


def choose_points(collected: Collected, keys: list[str], runs: pd.DataFrame) -> pd.DataFrame:
    """The chosen points of each group and criterion.

    Criteria: ``best_accuracy`` (ties: the smaller size), and the smallest size whose accuracy is at
    least that of full precision of the same seed (``no_degradation``) or at most 0.005, 0.01, 0.02
    below it (ties: the more accurate).

    Parameters
    ----------
    collected : Collected
    keys : list of str
        Columns that make a group, the task's among them.
    runs : DataFrame
        ``collected.runs``, in which no key is missing.

    Returns
    -------
    DataFrame
        The keys, criterion, place (of the criterion, from 0), selected_on ("validation" or "test"),
        points ("none", or each chosen point with its number of seeds), n (seeds with a qualifying
        point), seeds (of the task), ``<measure>_mean`` and ``<measure>_half_width`` of accuracy,
        accuracy_change, sparsity, size_bytes and compression_ratio over these n; runs, diverged,
        skipped (counts of the group).

    Raises
    ------
    ValueError
        A column is missing, or a run occurs twice.
    """
    runs = _scored(runs)
    counted = runs[keys].assign(
        runs=1,
        diverged=(runs["status"] == "diverged").astype(int),
        skipped=(runs["status"] == "skipped").astype(int),
    )
    groups = counted.groupby(keys, observed=True).sum().reset_index()
    rules = runs[[*statistics.TASK, "selected_on"]].drop_duplicates()
    groups = groups.merge(rules, on=statistics.TASK, validate="many_to_one")
    parts = []
    for criterion, drop in TOLERATED_DROP.items():
        chosen = _choose(runs, drop, [*keys, "seed"])
        means = statistics.aggregate(chosen, keys, MEASURES)
        names = chosen.groupby(keys, observed=True)["point"].agg(_named)
        means = means.merge(names.rename("points").reset_index(), on=keys)
        part = groups.merge(means, on=keys, how="left", validate="one_to_one")
        parts.append(part.assign(criterion=criterion, place=len(parts)))
    table = pd.concat(parts, ignore_index=True).rename(columns={"accuracy_n": "n"})
    table["points"] = table["points"].fillna("none")
    table["n"] = table["n"].fillna(0).astype(int)
    table["seeds"] = collected.seeds_of(table)
    measures = [f"{name}_{part}" for name in MEASURES for part in ("mean", "half_width")]
    names = ["criterion", "place", "selected_on", "points", "n", "seeds"]
    return table[[*keys, *names, *measures, "runs", "diverged", "skipped"]]


def _scored(runs: pd.DataFrame) -> pd.DataFrame:
    """``runs`` with what points are chosen by: ``score`` (accuracy minus full precision's),
    ``score_size``, and ``eligible``; and with ``accuracy_change``."""
    points = statistics.aggregate_points(runs)
    keys = statistics.POINT
    means = points[[*keys, "complete", "accuracy_change_mean", "size_bytes_mean"]]
    runs = runs.assign(accuracy_change=runs["accuracy"] - runs["accuracy_fp32"])
    runs = runs.merge(means, on=keys, how="left", validate="many_to_one")
    # A task is chosen by one rule: a method of which only test accuracy is known compares with none
    # that was chosen on validation.
    ok = runs["status"] == "ok"
    if set(VALIDATION) <= set(runs.columns):
        known = runs[list(VALIDATION)].notna().all(axis=1) | ~ok
        validated = known.groupby([runs[key] for key in statistics.TASK]).transform("all")
        score = runs[VALIDATION[0]] - runs[VALIDATION[1]]
    else:
        validated, score = pd.Series(False, index=runs.index), runs["accuracy_change"]
    return runs.assign(
        selected_on=np.where(validated, "validation", "test"),
        score=score.where(validated, runs["accuracy_change_mean"]),
        score_size=runs["size_bytes"].where(validated, runs["size_bytes_mean"]),
        eligible=np.where(validated, ok, runs["complete"]),
    )


def _choose(runs: pd.DataFrame, drop: float | None, seed: list[str]) -> pd.DataFrame:
    """The chosen run of each ``seed`` (of a method at a bit width) that has a qualifying one."""
    runs = runs[runs["eligible"]]
    order, ascending = ["score", "score_size", "point"], [False, True, True]
    if drop is not None:
        runs = runs[runs["score"] >= -drop - _ROUNDING]
        order, ascending = ["score_size", "score", "point"], [True, False, True]
    return runs.sort_values(order, ascending=ascending).drop_duplicates(seed)


def _named(points: pd.Series) -> str:
    """The chosen points; where seeds differ, with the number of seeds that chose each."""
    counts = points.value_counts().sort_index()
    if len(counts) == 1:
        return counts.index[0]
    return ", ".join(f"{point} ({count})" for point, count in counts.items())


def measured(
    row: dict,
    name: str,
    factor: float,
    digits: int,
    signed: bool = False,
    seeds: int | None = None,
) -> str:
    """A measure of a chosen point as in :func:`rendering.measure`; a dash if there is none."""
    if row["n"] == 0:
        return rendering.EMPTY
    interval = row[f"{name}_mean"], row[f"{name}_half_width"], row["n"]
    return rendering.measure(interval, factor, digits, signed, seeds)
