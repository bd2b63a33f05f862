"""Statistics over seeds, Pareto fronts and the choice of runs of comparable size.

The frames are those of ``runs.csv`` and ``attributions.csv``. A run whose status is not ``ok``
enters no mean, but is counted beside it; an operating point with such a run is not *complete* and
competes neither for a front nor for a table, because the mean over the seeds that survived is
not the mean over the seeds that were tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit  # scipy.stats imports three times as slowly

TASK = ["dataset", "model"]
POINT = [*TASK, "method", "point"]
RUN = [*POINT, "seed"]
ANCHORS = ("identical", "retrained", "random")
QUANTITIES = (
    "accuracy",
    "accuracy_change",
    "size_bytes",
    "compression_ratio",
    "sparsity",
    "entropy_bytes",
)
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """Mean over seeds, half width of its confidence interval (NaN below two values), count."""

    mean: float
    half_width: float
    n: int


def require_columns(frame: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    """Raise ValueError naming the columns that ``frame``, called ``name``, lacks."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"{name}: missing column(s) {', '.join(missing)}")


def half_width(std, n, confidence: float = CONFIDENCE):
    """Half width of Student's t-interval of a mean, elementwise.

    Parameters
    ----------
    std : array_like
        Sample standard deviation (ddof 1).
    n : array_like
        Number of values; below two the half width is NaN: one seed says nothing on the spread.
    confidence : float
        Coverage in (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: {confidence} is not in (0, 1)")
    std, n = np.asarray(std, dtype=float), np.asarray(n, dtype=float)
    enough = n >= 2
    degrees = np.where(enough, n - 1, 1)
    width = stdtrit(degrees, 0.5 + confidence / 2) * std / np.sqrt(np.where(enough, n, 1))
    return np.where(enough, width, np.nan)


def mean_interval(values, confidence: float = CONFIDENCE) -> Interval:
    """Mean with t-interval over the finite ones of ``values``; ``n`` is how many those are."""
    values = np.asarray(values, dtype=float).ravel()
    values = values[np.isfinite(values)]
    if values.size == 0:
        return Interval(float("nan"), float("nan"), 0)
    std = values.std(ddof=1) if values.size > 1 else float("nan")
    return Interval(
        float(values.mean()), float(half_width(std, values.size, confidence)), int(values.size)
    )


def aggregate(frame: pd.DataFrame, keys: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Mean, half width and count of ``columns`` per group of ``keys``, sorted by ``keys``.

    Non-finite values are left out and the count says so. The result has the keys and, per column,
    ``<column>_mean``, ``<column>_half_width`` (95 % t-interval) and ``<column>_n``.
    """
    keys, columns = list(keys), list(columns)
    values = frame[columns].astype(float).replace([np.inf, -np.inf], np.nan)
    grouped = pd.concat([frame[keys], values], axis=1).groupby(keys, observed=True)
    mean, std, count = (grouped[columns].agg(how) for how in ("mean", "std", "count"))
    result = {}
    for column in columns:
        result[f"{column}_mean"] = mean[column]
        result[f"{column}_half_width"] = half_width(std[column], count[column])
        result[f"{column}_n"] = count[column]
    return pd.DataFrame(result, index=mean.index).reset_index()


def aggregate_points(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per operating point (dataset, model, method, point), over its seeds.

    Returns
    -------
    DataFrame
        The keys; ``runs``, ``ok``, ``diverged``, ``skipped`` (counts); ``complete`` (every run is
        ok and has an accuracy and a size); and ``_mean``, ``_half_width``, ``_n`` of accuracy,
        accuracy_change, size_bytes, compression_ratio, sparsity and entropy_bytes.
        accuracy_change is accuracy minus the full-precision accuracy of the same seed, so that its
        interval is a paired one.

    Raises
    ------
    ValueError
        A column is missing, or a run occurs twice.
    """
    needed = [*RUN, "status", "accuracy_fp32", *(q for q in QUANTITIES if q != "accuracy_change")]
    require_columns(runs, needed, "runs")
    twice = runs.duplicated(RUN)
    if twice.any():
        raise ValueError(f"runs: occurs twice: {'/'.join(map(str, runs.loc[twice, RUN].iloc[0]))}")
    runs = runs.assign(accuracy_change=runs["accuracy"] - runs["accuracy_fp32"])
    ok = runs["status"] == "ok"
    runs[list(QUANTITIES)] = runs[list(QUANTITIES)].astype(float).where(ok)
    points = aggregate(runs, POINT, QUANTITIES)
    counts = (
        runs.assign(
            runs=1,
            ok=ok.astype(int),
            diverged=(runs["status"] == "diverged").astype(int),
            skipped=(runs["status"] == "skipped").astype(int),
        )
        .groupby(POINT, observed=True)[["runs", "ok", "diverged", "skipped"]]
        .sum()
        .reset_index()
    )
    points = counts.merge(points, on=POINT, validate="one_to_one")
    complete = (
        (points["ok"] == points["runs"])
        & (points["accuracy_n"] == points["runs"])
        & (points["size_bytes_n"] == points["runs"])
    )
    points.insert(points.columns.get_loc("skipped") + 1, "complete", complete)
    return points


def full_precision(runs: pd.DataFrame) -> pd.DataFrame:
    """Accuracy and size of the full-precision network of each task, one value per seed.

    Returns
    -------
    DataFrame
        dataset, model, and ``_mean``, ``_half_width``, ``_n`` of accuracy and size_bytes; tasks in
        the order in which they occur.
    """
    require_columns(runs, [*TASK, "seed", "accuracy_fp32", "size_fp32_bytes"], "runs")
    # Every run of a seed repeats the same reference; diverged ones may lack it ("first" skips NaN).
    seeds = (
        runs.groupby([*TASK, "seed"], observed=True)[["accuracy_fp32", "size_fp32_bytes"]]
        .first()
        .reset_index()
        .rename(columns={"accuracy_fp32": "accuracy", "size_fp32_bytes": "size_bytes"})
    )
    order = runs[TASK].drop_duplicates()
    return order.merge(aggregate(seeds, TASK, ["accuracy", "size_bytes"]), on=TASK, how="left")


def pareto_front(gain, cost) -> np.ndarray:
    """Mask of the points that no other point dominates; ``gain`` is maximised, ``cost`` minimised.

    A point dominates another if it is at least as good in both and better in one: equal points are
    on the front together. A point with a non-finite coordinate is never on it. O(n log n).

    Parameters
    ----------
    gain, cost : array_like, shape (n,)

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    gain, cost = np.asarray(gain, dtype=float), np.asarray(cost, dtype=float)
    if gain.shape != cost.shape or gain.ndim != 1:
        raise ValueError(f"gain and cost: shapes {gain.shape} and {cost.shape}, expected (n,) both")
    front = np.zeros(gain.shape, dtype=bool)
    usable = np.flatnonzero(np.isfinite(gain) & np.isfinite(cost))
    if usable.size == 0:
        return front
    usable = usable[np.lexsort((-gain[usable], cost[usable]))]
    gain, cost = gain[usable], cost[usable]
    first = np.concatenate(([True], cost[1:] != cost[:-1]))
    group = np.cumsum(first) - 1
    best = gain[first]  # sorted by falling gain within equal cost
    best_cheaper = np.concatenate(([-np.inf], np.maximum.accumulate(best)[:-1]))
    front[usable] = (gain == best[group]) & (gain > best_cheaper[group])
    return front


def matched_runs(runs: pd.DataFrame, seed: int | None = None) -> pd.DataFrame:
    """For each task, one run of each method, of sizes as equal as the operating points allow.

    The common size of a task is the one, among the sizes of all its runs, whose worst distance to
    the nearest run of each method is smallest (distance of log sizes; ties: the smaller size); each
    method gives its nearest run. Runs below half the full-precision accuracy are left aside, except
    for a method that has no other: the attributions of a collapsed network tell nothing on
    the method.

    Parameters
    ----------
    runs : DataFrame
        As runs.csv.
    seed : int, optional
        Only runs of this seed are chosen; by default the smallest seed of the task.

    Returns
    -------
    DataFrame
        Rows of ``runs``, one per task and method. A method without any ok run is kept, with its
        first row, whose ``status`` is then not ``ok``.
    """
    require_columns(runs, [*RUN, "status", "accuracy", "accuracy_fp32", "size_bytes"], "runs")
    chosen = []
    for _, task in runs.groupby(TASK, sort=False, observed=True):
        task = task[task["seed"] == (task["seed"].min() if seed is None else seed)]
        usable = task[(task["status"] == "ok") & (task["size_bytes"] > 0)]
        usable = usable[usable["accuracy"].notna()]
        sound = usable[usable["accuracy"] >= 0.5 * usable["accuracy_fp32"]]
        candidates = {}
        for method in task["method"].unique():
            own = sound[sound["method"] == method]
            candidates[method] = own if len(own) else usable[usable["method"] == method]
        filled = [frame for frame in candidates.values() if len(frame)]
        if filled:
            targets = np.sort(np.log(pd.concat(filled)["size_bytes"].to_numpy(float)))
            worst = np.max([_log_distance(frame, targets).min(axis=1) for frame in filled], axis=0)
            target = targets[[int(np.argmin(worst))]]
        for method, frame in candidates.items():
            if len(frame):
                chosen.append(frame.iloc[[int(np.argmin(_log_distance(frame, target)[0]))]])
            else:
                chosen.append(task[task["method"] == method].iloc[[0]])
    return pd.concat(chosen, ignore_index=True) if chosen else runs.iloc[:0].copy()


def _log_distance(frame: pd.DataFrame, targets: np.ndarray) -> np.ndarray:
    """|log size - target|, shape (targets, rows of ``frame``)."""
    return np.abs(np.log(frame["size_bytes"].to_numpy(float))[None, :] - targets[:, None])
