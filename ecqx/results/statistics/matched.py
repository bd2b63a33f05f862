"""The choice of runs of comparable size, one per method."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecqx.results import keys
from ecqx.results.keys import RUN, TASK


def matched_runs(runs: pd.DataFrame, seed: int | None = None) -> pd.DataFrame:
    """For each task, one run of each method, of sizes as equal as the operating points allow.

    The common size of a task is the one, among the sizes of all its runs, whose worst distance to
    the nearest run of each method is smallest (distance of log sizes; ties: the smaller size); each
    method gives its nearest run. Runs below half the full-precision accuracy are left aside, except
    for a method that has no other: the attributions of a collapsed network say nothing
    about the method.

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
    """
    keys.require_columns(runs, [*RUN, "status", "accuracy", "accuracy_fp32", "size_bytes"], "runs")
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
