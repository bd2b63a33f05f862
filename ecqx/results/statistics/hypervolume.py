"""The volume that a method's runs dominate: one number for a whole front.

Axes and reference point are fixed, so that volumes compare between methods, tasks and benchmarks:

- size: halvings against full precision, log2(compression ratio); reference 0, the size of full
  precision;
- accuracy: the share kept of the upper half of full precision's accuracy, 2 a / a_fp32 - 1;
  reference 0, half of the accuracy of full precision of the same seed;
- consistency (in three dimensions): the mean of a consistency measure; reference 0.

In two dimensions the volume is in halvings: a method that keeps the accuracy of full precision down
to 1/2^v of its size, and has nothing below, has volume v. A third axis, at most 1, can only lower
it. A run outside the reference point dominates nothing, and neither does a run without a network:
a method that diverged or failed at every point has volume 0.

Source: Zitzler and Thiele, Multiobjective evolutionary algorithms: a comparative case study and the
strength Pareto approach, IEEE Transactions on Evolutionary Computation 3 (4), 1999.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecqx.results import keys
from ecqx.results.keys import RUN, TASK
from ecqx.results.statistics.points import COUNTED, count_statuses


def dominated_volume(points, reference) -> float:
    """Volume of all that lies between ``reference`` and at least one point; all axes maximised.

    Parameters
    ----------
    points : array_like, shape (n, d), d = 2 or 3; points with a non-finite coordinate, and points
        that are not above the reference on every axis, dominate nothing.
    reference : array_like, shape (d,)

    Returns
    -------
    float
        Exact; 0 without points.

    Raises
    ------
    ValueError : d is neither 2 nor 3, or differs between the two.
    """
    reference = np.asarray(reference, dtype=float)
    points = np.asarray(points, dtype=float).reshape(-1, reference.size)
    if reference.ndim != 1 or reference.size not in (2, 3):
        raise ValueError(f"reference: shape {reference.shape}, expected (2,) or (3,)")
    points = points[np.isfinite(points).all(axis=1)] - reference
    points = points[(points > 0).all(axis=1)]
    if reference.size == 2:
        return _area(points)
    # Slabs between neighboring values of the last axis; each is as large as the area dominated by
    # the points at least as high.
    levels = np.unique(points[:, 2])
    thickness = np.diff(levels, prepend=0.0)
    return float(
        sum(
            thick * _area(points[points[:, 2] >= level, :2])
            for level, thick in zip(levels, thickness, strict=True)
        )
    )


def _area(points: np.ndarray) -> float:
    """Area between the origin and at least one point, shape (n, 2), all coordinates positive."""
    points = points[np.argsort(-points[:, 0], kind="stable")]
    heights = np.maximum.accumulate(points[:, 1]) if len(points) else points[:, 1]
    gained = np.diff(heights, prepend=0.0)
    return float((points[:, 0] * gained).sum())


def seed_volumes(runs: pd.DataFrame, consistency=None) -> pd.DataFrame:
    """Dominated volume of every task, method and seed.

    Parameters
    ----------
    runs : DataFrame, as runs.csv.
    consistency : array_like, shape (runs,), optional; a consistency measure per run, higher is
        better: makes the volume three-dimensional. NaN where a run has none.

    Returns
    -------
    DataFrame
        dataset, model, method, seed; volume (NaN if every run was skipped: the method does not
        apply); runs, diverged, skipped, failed; unplaced, the ok runs that lack a coordinate.
    """
    needed = [*RUN, "status", "accuracy", "accuracy_fp32", "size_bytes", "size_fp32_bytes"]
    keys.require_columns(runs, needed, "runs")
    keys.require_distinct_runs(runs)
    ok = (runs["status"] == "ok").to_numpy()
    kept = 2 * runs["accuracy"].to_numpy(float) / runs["accuracy_fp32"].to_numpy(float) - 1
    halvings = np.log2(runs["size_fp32_bytes"].to_numpy(float) / runs["size_bytes"].to_numpy(float))
    axes = [halvings, kept]
    if consistency is not None:
        axes.append(np.asarray(consistency, dtype=float))
    points = np.column_stack(axes)
    points[~ok] = np.nan
    reference = np.zeros(len(axes))
    placed = np.isfinite(points).all(axis=1)
    skipped = (runs["status"] == "skipped").to_numpy()
    rows = []
    groups = runs.groupby([*TASK, "method", "seed"], sort=False, observed=True).indices
    for key, own in groups.items():
        applies = not skipped[own].all()
        volume = dominated_volume(points[own], reference) if applies else float("nan")
        rows.append((*key, volume, int((ok[own] & ~placed[own]).sum())))
    index = [*TASK, "method", "seed"]
    volumes = pd.DataFrame(rows, columns=[*index, "volume", "unplaced"])
    counts = count_statuses(runs, index)
    return volumes.merge(counts, on=index, validate="one_to_one")[
        [*index, "volume", *COUNTED, "unplaced"]
    ]
