"""The volume under a method's front: one number for a whole front.

Axes and reference point are fixed, so that volumes compare between tasks and benchmarks:

- size: halvings against full precision, log2(compression ratio);
- accuracy: the share kept of the upper half of full precision's accuracy, 2 a / a_fp32 - 1;
  reference 0, half of the accuracy of full precision of the same seed;
- consistency (in three dimensions): the mean of a consistency measure; reference 0.

At every size a method offers the best run on validation data that is no larger; the volume
integrates what that run has on test data, nothing where it lies below the reference. It is the
dominated hypervolume of the front, with the choice made on validation: choosing on test data would
give a method with more runs more luck. It is taken over the range of sizes that all methods of the
task cover, so that a wider grid counts for nothing.

Source: Zitzler and Thiele, Multiobjective evolutionary algorithms: a comparative case study and the
strength Pareto approach, IEEE Transactions on Evolutionary Computation 3 (4), 1999.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecqx.results import keys
from ecqx.results.keys import TASK
from ecqx.results.statistics.fronts import Front, seed_fronts
from ecqx.results.statistics.points import COUNTED, count_statuses

_FEW = 0.5  # methods with fewer points, as a share of the most points of a method, do not compete


def offered_volume(halvings, heights, low: float, high: float) -> float:
    """Integral over ``low`` to ``high`` of the height that is offered there.

    Parameters
    ----------
    halvings : array_like, shape (k,), strictly decreasing; of the runs on a front, by rising size.
    heights : array_like, shape (k,); theirs. Negative ones, and NaN, count as 0.
    low, high : float, the range of halvings; beyond the smallest run nothing is offered.

    Returns
    -------
    float
        Between two runs the smaller one is offered; below the largest, the largest.
    """
    halvings, heights = np.asarray(halvings, dtype=float), np.asarray(heights, dtype=float)
    if not halvings.size or not high > low:
        return 0.0
    smaller = np.append(halvings[1:], -np.inf)  # where the next larger run takes over
    width = np.minimum(halvings, high) - np.maximum(smaller, low)
    return float((np.maximum(np.nan_to_num(heights), 0.0) * np.maximum(width, 0.0)).sum())


def common_ranges(runs: pd.DataFrame) -> dict[tuple, tuple[float, float]]:
    """The halvings of size that all methods of a task cover with every seed.

    Methods without an ok run, and those with less than half as many operating points as the method
    with the most, do not narrow it; the latter have no volume.

    Returns
    -------
    dict
        (dataset, model) -> (least, most), of equal numbers or the wrong way round where the methods
        have nothing in common.
    """
    counts = runs.groupby([*TASK, "method"], sort=False, observed=True)["point"].nunique()
    most = counts.groupby(level=TASK, observed=True).transform("max")
    competing = set(counts.index[counts >= _FEW * most])
    full = _full_sizes(runs)
    ranges: dict[tuple, tuple[float, float]] = {}
    for (dataset, model, method, seed), front in seed_fronts(runs).items():
        if front.measured.size and (dataset, model, method) in competing:
            largest, smallest = np.log2(full[dataset, model, seed] / front.measured[[-1, 0]])
            low, high = ranges.get((dataset, model), (-np.inf, np.inf))
            ranges[dataset, model] = max(low, largest), min(high, smallest)
    return ranges


def seed_volumes(runs: pd.DataFrame, consistency=None) -> pd.DataFrame:
    """Volume of every task, method and seed over the common range of the task.

    Parameters
    ----------
    runs : DataFrame, as runs.csv.
    consistency : array_like, shape (runs,), optional; a consistency measure per run, higher is
        better: makes the volume three-dimensional. NaN where a run has none.

    Returns
    -------
    DataFrame
        dataset, model, method, seed; volume (0 without an ok run; NaN if every run was skipped, the
        method has too few operating points, or the methods have no size in common); ratio_least,
        ratio_most, the common range as compression ratios; runs, diverged, skipped, failed.
    """
    needed = ["status", "accuracy", "accuracy_fp32", "size_fp32_bytes"]
    keys.require_columns(runs, needed, "runs")
    height = 2 * runs["accuracy"].to_numpy(float) / runs["accuracy_fp32"].to_numpy(float) - 1
    height = np.maximum(height, 0)
    if consistency is not None:
        height = height * np.maximum(np.asarray(consistency, dtype=float), 0)
    full, ranges = _full_sizes(runs), common_ranges(runs)
    counts = runs.groupby([*TASK, "method"], sort=False, observed=True)["point"].nunique()
    most = counts.groupby(level=TASK, observed=True).max()
    skipped = (runs["status"] == "skipped").groupby(
        [runs[key] for key in [*TASK, "method", "seed"]], observed=True
    )
    skipped = skipped.all()
    rows = []
    for key, front in seed_fronts(runs).items():
        task = key[:2]
        low, high = ranges.get(task, (np.nan, np.nan))
        enough = counts[key[:3]] >= _FEW * most[task]
        volume = float("nan")
        if enough and not skipped[key] and (high > low or not front.size.size):
            volume = _of_front(front, height, full[(*task, key[3])], low, high)
        rows.append((*key, volume, 2.0**low, 2.0**high))
    index = [*TASK, "method", "seed"]
    columns = [*index, "volume", "ratio_least", "ratio_most"]
    volumes = pd.DataFrame(rows, columns=columns)
    counted = count_statuses(runs, index)
    return volumes.merge(counted, on=index, validate="one_to_one")[[*columns, *COUNTED]]


def _of_front(front: Front, height: np.ndarray, full: float, low: float, high: float) -> float:
    halvings = np.log2(full / front.size) if front.size.size else front.size
    return offered_volume(halvings, height[front.positions], low, high)


def _full_sizes(runs: pd.DataFrame) -> dict[tuple, float]:
    """(dataset, model, seed) -> bytes of full precision."""
    seeds = runs.groupby([*TASK, "seed"], sort=False, observed=True)["size_fp32_bytes"].first()
    return seeds.astype(float).to_dict()
