"""The choice of runs of comparable size, one per method, where compression begins to hurt."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecqx.results import keys
from ecqx.results.keys import RUN, TASK

_AGREEMENT = 0.02  # accuracy; what methods may differ by and still agree
_SAME_SIZE = 1.25  # factor between sizes that count as the same


def matched_runs(runs: pd.DataFrame, seed: int | None = None) -> pd.DataFrame:
    """For each task, one run of each method, at the highest compression where most still agree.

    Where networks are large all methods are alike, and where they have collapsed nothing can be
    learnt. The common size of a task is therefore the smallest, among the sizes of all its runs, at
    which more than half of the methods agree; where there is none, the smallest of those at which
    the most do. At a size, each method gives its nearest run (distance of log sizes). Methods agree
    if their runs have that size up to a factor of 1.25 and are at most 2 percentage points less
    accurate than the most accurate of these. Each method then gives its nearest run, whether it
    agrees or has broken already. Accuracy is that on validation data.

    Runs below half the full-precision accuracy are left aside, except for a method that has no
    other: the attributions of a collapsed network say nothing about the method.

    Parameters
    ----------
    runs : DataFrame, as runs.csv.
    seed : int, optional; only runs of this seed are chosen; by default the smallest seed of the
        task.

    Returns
    -------
    DataFrame
        Rows of ``runs``, one per task and method. A method without any ok run is kept, with its
        first row, whose ``status`` is then not ``ok``.

    Raises
    ------
    ValueError : a column is missing.
    """
    needed = [*RUN, "status", "accuracy_validation", "accuracy_validation_fp32", "size_bytes"]
    keys.require_columns(runs, needed, "runs")
    chosen = []
    for _, task in runs.groupby(TASK, sort=False, observed=True):
        task = task[task["seed"] == (task["seed"].min() if seed is None else seed)]
        usable = task[(task["status"] == "ok") & (task["size_bytes"] > 0)]
        usable = usable[usable["accuracy_validation"].notna()]
        half = 0.5 * usable["accuracy_validation_fp32"]
        sound = usable[usable["accuracy_validation"] >= half]
        candidates = {}
        for method in task["method"].unique():
            own = sound[sound["method"] == method]
            candidates[method] = own if len(own) else usable[usable["method"] == method]
        filled = [frame for frame in candidates.values() if len(frame)]
        target = np.array([_common_size(filled)]) if filled else np.empty(0)
        for method, frame in candidates.items():
            if len(frame):
                chosen.append(frame.iloc[[int(np.argmin(_log_distance(frame, target)[0]))]])
            else:
                chosen.append(task[task["method"] == method].iloc[[0]])
    return pd.concat(chosen, ignore_index=True) if chosen else runs.iloc[:0].copy()


def _common_size(candidates: list[pd.DataFrame]) -> float:
    """Log of the size at which the methods, a frame each, are compared."""
    targets = np.unique(np.log(pd.concat(candidates)["size_bytes"].to_numpy(float)))
    accuracies = np.full((len(candidates), len(targets)), -np.inf)
    for row, frame in zip(accuracies, candidates, strict=True):
        distance = _log_distance(frame, targets)
        nearest = distance.argmin(axis=1)
        at_size = distance.min(axis=1) <= np.log(_SAME_SIZE)
        row[at_size] = frame["accuracy_validation"].to_numpy(float)[nearest][at_size]
    agreeing = (accuracies >= accuracies.max(axis=0) - _AGREEMENT).sum(axis=0)
    enough = min(len(candidates) // 2 + 1, agreeing.max())
    return float(targets[np.argmax(agreeing >= enough)])


def _log_distance(frame: pd.DataFrame, targets: np.ndarray) -> np.ndarray:
    """|log size - target|, shape (targets, rows of ``frame``)."""
    return np.abs(np.log(frame["size_bytes"].to_numpy(float))[None, :] - targets[:, None])
