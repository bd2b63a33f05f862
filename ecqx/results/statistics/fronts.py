"""Pareto fronts of accuracy against size, and what is read off them at equal size or accuracy.

The front of one seed is what a method reached with that full-precision network. Between its runs it
is linear in accuracy over log size. Beyond its most accurate run it stays level up to the largest
run of that seed: a smaller network that is at least as accurate is at hand. Outside of what was
measured a front is undefined; nothing is extrapolated.

A front keeps the best of what was measured on test data, so that a method with more operating
points has more chances: compare methods with grids of like density.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecqx.results import keys
from ecqx.results.keys import RUN, TASK

_R10 = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
# The R10 series of preferred numbers (ISO 3): ten steps per decade, equal in log size but for
# rounding, and the same for every task and every set of methods.
RATIOS = tuple(round(base * decade, 3) for decade in (1, 10, 100) for base in _R10) + (1000.0,)


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


@dataclass(frozen=True)
class Front:
    """What one method reached on one task with one seed.

    Attributes
    ----------
    size : ndarray, shape (k,); bytes of the runs on the front, strictly increasing.
    accuracy : ndarray, shape (k,); theirs, strictly increasing.
    positions : ndarray of int, shape (k,); which of the given runs they are.
    largest : float, bytes of the largest run that was measured, up to which the front stays level.
    """

    size: np.ndarray
    accuracy: np.ndarray
    positions: np.ndarray
    largest: float

    @classmethod
    def of(cls, accuracy, size) -> Front:
        """The front of runs with these accuracies and sizes in bytes, shape (n,) both.

        Runs with a non-finite accuracy or size, or a size that is not above 0, are not measured.
        Without any measured run the front is empty and undefined everywhere.
        """
        accuracy, size = np.asarray(accuracy, dtype=float), np.asarray(size, dtype=float)
        measured = np.isfinite(accuracy) & (size > 0) & np.isfinite(size)
        positions = np.flatnonzero(pareto_front(np.where(measured, accuracy, np.nan), size))
        positions = positions[np.argsort(size[positions], kind="stable")]
        if positions.size:  # equal runs are on the front together: one of them is enough
            positions = positions[np.concatenate(([True], np.diff(size[positions]) > 0))]
        largest = float(size[measured].max()) if measured.any() else float("nan")
        return cls(size[positions], accuracy[positions], positions, largest)

    def read(self, values, sizes) -> np.ndarray:
        """``values`` of the runs on the front, at other sizes.

        Parameters
        ----------
        values : array_like, shape (k,) or (k, m); one row per run on the front. A NaN makes
            undefined what is read between it and its neighbors.
        sizes : array_like, shape (s,); bytes.

        Returns
        -------
        ndarray, shape (s,) or (s, m)
            Linear in log size; NaN outside the range of the measured sizes.
        """
        values, sizes = np.asarray(values, dtype=float), np.asarray(sizes, dtype=float)
        result = np.full(sizes.shape + values.shape[1:], np.nan)
        if not self.size.size:
            return result
        inside = (sizes >= self.size[0]) & (sizes <= self.largest)
        target = np.log(np.minimum(sizes[inside], self.size[-1]))
        known = np.log(self.size)
        right = np.searchsorted(known, target)  # known[right - 1] < target <= known[right]
        left = np.maximum(right - 1, 0)
        step = known[right] - known[left]
        share = np.where(step > 0, (target - known[left]) / np.where(step > 0, step, 1), 1.0)
        share = share.reshape(share.shape + (1,) * (values.ndim - 1))
        between = values[left] * (1 - share) + values[right] * share
        # On a run of the front its neighbor's value does not count, not even as NaN.
        result[inside] = np.where(share == 1, values[right], between)
        return result

    def accuracy_at(self, sizes) -> np.ndarray:
        """Accuracy at ``sizes`` in bytes, shape (s,); NaN outside the range measured."""
        return self.read(self.accuracy, sizes)

    def size_at(self, accuracies) -> np.ndarray:
        """The size in bytes at which the front passes ``accuracies``, shape (s,).

        NaN above the best accuracy (not reached) and below that of the smallest run (the size would
        be smaller than any measured).
        """
        accuracies = np.asarray(accuracies, dtype=float)
        if not self.size.size:
            return np.full(accuracies.shape, np.nan)
        outside = {"left": np.nan, "right": np.nan}
        return np.exp(np.interp(accuracies, self.accuracy, np.log(self.size), **outside))


def seed_fronts(runs: pd.DataFrame) -> dict[tuple, Front]:
    """The front of every task, method and seed.

    Parameters
    ----------
    runs : DataFrame, as runs.csv. Runs that are not ok are not on any front.

    Returns
    -------
    dict
        (dataset, model, method, seed) -> Front, with ``positions`` counted in all of ``runs``. A
        method without an ok run has an empty front.
    """
    keys.require_columns(runs, [*RUN, "status", "accuracy", "size_bytes"], "runs")
    keys.require_distinct_runs(runs)
    ok = (runs["status"] == "ok").to_numpy()
    accuracy = np.where(ok, runs["accuracy"].to_numpy(float), np.nan)
    size = np.where(ok, runs["size_bytes"].to_numpy(float), np.nan)
    groups = runs.groupby([*TASK, "method", "seed"], sort=False, observed=True).indices
    fronts = {}
    for key, rows in groups.items():
        front = Front.of(accuracy[rows], size[rows])
        fronts[key] = Front(front.size, front.accuracy, rows[front.positions], front.largest)
    return fronts


def at_ratios(
    runs: pd.DataFrame, values: pd.DataFrame | None = None, ratios: Sequence[float] = RATIOS
) -> pd.DataFrame:
    """What every method has at common sizes, seed by seed, read off its front.

    Parameters
    ----------
    runs : DataFrame, as runs.csv.
    values : DataFrame, optional; further numbers to read off the same fronts: a row per row of
        ``runs``, in its order.
    ratios : sequence of float, the common sizes, as compression ratios.

    Returns
    -------
    DataFrame
        dataset, model, method, seed, ratio, accuracy, accuracy_change (against full precision of
        the seed) and the columns of ``values``. A row per ratio at which at least one method of the
        task is defined for at least one seed; NaN where it is undefined.
    """
    keys.require_columns(runs, ["accuracy_fp32", "size_fp32_bytes"], "runs")
    if values is not None and len(values) != len(runs):
        raise ValueError(f"values: {len(values)} rows, expected one per run: {len(runs)}")
    ratios = np.asarray(ratios, dtype=float)
    if not (np.isfinite(ratios) & (ratios > 0)).all():
        raise ValueError(f"ratios: {ratios.tolist()}, expected numbers above 0")
    names = list(values.columns) if values is not None else []
    table = values.to_numpy(float) if values is not None else np.empty((len(runs), 0))
    # All runs of a seed repeat its full precision; those without a result may lack it.
    seeds = runs.groupby([*TASK, "seed"], sort=False, observed=True)
    full = seeds[["accuracy_fp32", "size_fp32_bytes"]].first().astype(float)
    full = dict(zip(full.index, full.to_numpy(), strict=True))
    found, tables = [], []
    for key, front in seed_fronts(runs).items():
        full_accuracy, full_size = full[key[0], key[1], key[3]]
        accuracy = front.accuracy[:, None]
        own = np.hstack([accuracy, accuracy - full_accuracy, table[front.positions]])
        tables.append(front.read(own, full_size / ratios))
        found.append(key)
    identity = pd.DataFrame(found, columns=[*TASK, "method", "seed"])
    result = identity.loc[identity.index.repeat(len(ratios))].reset_index(drop=True)
    result["ratio"] = np.tile(ratios, len(found))
    read = np.concatenate(tables) if tables else np.empty((0, 2 + table.shape[1]))
    columns = pd.Index(["accuracy", "accuracy_change", *names], tupleize_cols=False)
    result = pd.concat([result, pd.DataFrame(read, columns=columns)], axis=1)
    used = result.groupby([*TASK, "ratio"], observed=True)["accuracy"].transform("count") > 0
    return result[used].reset_index(drop=True)
