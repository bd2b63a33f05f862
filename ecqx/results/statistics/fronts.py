"""Fronts of accuracy against size: chosen on validation data, read on test data.

The front of one seed is what a user of the method would have picked from its runs with that
full-precision network, knowing sizes and accuracies on validation data: the runs that no other run
of the method dominates there. Whatever else is known of these runs, test accuracy first of all, is
read along the front, linearly in log size. Test accuracy along it may fall with size: choosing has
its price, and it shows. Beyond its last run the front stays level up to the largest run of that
seed: a smaller network that is at least as good is at hand. Outside of what was measured a front is
undefined; nothing is extrapolated.

Between runs that lie far apart in size a front says little. Where methods are compared, only those
sizes count to which both have a run within 10 %: then neither the density of a grid nor the shape
of the interpolation decides.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecqx.results import keys
from ecqx.results.keys import RUN, TASK

_R40 = (
    1.0, 1.06, 1.12, 1.18, 1.25, 1.32, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0, 2.12, 2.24, 2.36, 2.5,
    2.65, 2.8, 3.0, 3.15, 3.35, 3.55, 3.75, 4.0, 4.25, 4.5, 4.75, 5.0, 5.3, 5.6, 6.0, 6.3, 6.7,
    7.1, 7.5, 8.0, 8.5, 9.0, 9.5,
)  # fmt: skip
# The R40 series of preferred numbers (ISO 3): forty steps per decade, equal in log size but for
# rounding, and the same for every task and every set of methods. Every fourth is one of R10.
RATIOS = tuple(round(base * decade, 3) for decade in (1, 10, 100) for base in _R40) + (1000.0,)
COARSE_RATIOS = RATIOS[::4]
NEAR = 0.1  # how far a size may be from a run's, as a share, to be compared by it


def pareto_front(gain, cost) -> np.ndarray:
    """Mask of the points that no other point dominates; ``gain`` is maximised, ``cost`` minimised.

    A point dominates another if it is at least as good in both and better in one: equal points are
    on the front together. A point with a non-finite coordinate is never on it. O(n log n).

    Values are compared to 12 significant digits: accuracies are counts over few samples, and means
    of them that are equal differ in their last bits by the order of the sum.

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
    gain, cost = (np.array([float(f"{value:.12g}") for value in values]) for values in (gain, cost))
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
    """What one method offers on one task with one seed.

    Attributes
    ----------
    size : ndarray, shape (k,); bytes of the runs on the front, strictly increasing.
    validation : ndarray, shape (k,); their accuracy on validation data, strictly increasing.
    positions : ndarray of int, shape (k,); which of the given runs they are.
    measured : ndarray, shape (m,), sorted; bytes of all runs that were measured, on the front or
        not. Up to the largest the front stays level.
    """

    size: np.ndarray
    validation: np.ndarray
    positions: np.ndarray
    measured: np.ndarray

    @classmethod
    def of(cls, validation, size) -> Front:
        """The front of runs with these validation accuracies and sizes in bytes, shape (n,) both.

        Runs with a non-finite accuracy or size, or a size that is not above 0, are not measured.
        Without any measured run the front is empty and undefined everywhere.
        """
        validation, size = np.asarray(validation, dtype=float), np.asarray(size, dtype=float)
        measured = np.isfinite(validation) & (size > 0) & np.isfinite(size)
        positions = np.flatnonzero(pareto_front(np.where(measured, validation, np.nan), size))
        positions = positions[np.argsort(size[positions], kind="stable")]
        if positions.size:  # equal runs are on the front together: one of them is enough
            positions = positions[np.concatenate(([True], np.diff(size[positions]) > 0))]
        return cls(size[positions], validation[positions], positions, np.sort(size[measured]))

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
        inside = (sizes >= self.size[0]) & (sizes <= self.measured[-1])
        result[inside] = interpolate(self.size, values, np.minimum(sizes[inside], self.size[-1]))
        return result

    def near(self, sizes) -> np.ndarray:
        """Whether a run was measured within 10 % of each of ``sizes``, shape (s,), of bool."""
        return near(self.measured, sizes)

    def size_at(self, validations) -> np.ndarray:
        """The size in bytes at which the front passes these validation accuracies, shape (s,).

        NaN above the best accuracy (not reached) and below that of the smallest run (the size would
        be smaller than any measured).
        """
        validations = np.asarray(validations, dtype=float)
        if not self.size.size:
            return np.full(validations.shape, np.nan)
        outside = {"left": np.nan, "right": np.nan}
        return np.exp(np.interp(validations, self.validation, np.log(self.size), **outside))


def interpolate(size: np.ndarray, values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """``values`` at ``sizes``, linear in log size.

    Parameters
    ----------
    size : ndarray, shape (k,), strictly increasing; bytes.
    values : ndarray, shape (k,) or (k, m); at ``size``.
    sizes : ndarray, shape (s,); none outside the range of ``size``.

    Returns
    -------
    ndarray, shape (s,) or (s, m)
    """
    target, known = np.log(sizes), np.log(size)
    right = np.searchsorted(known, target)  # known[right - 1] < target <= known[right]
    left = np.maximum(right - 1, 0)
    step = known[right] - known[left]
    share = np.where(step > 0, (target - known[left]) / np.where(step > 0, step, 1), 1.0)
    share = share.reshape(share.shape + (1,) * (values.ndim - 1))
    between = values[left] * (1 - share) + values[right] * share
    # At a known size its neighbor's value does not count, not even as NaN.
    return np.where(share == 1, values[right], between)


def near(measured: np.ndarray, sizes) -> np.ndarray:
    """Whether one of ``measured``, sorted, is within 10 % of each of ``sizes``; of bool."""
    sizes = np.asarray(sizes, dtype=float)
    if not measured.size:
        return np.zeros(sizes.shape, dtype=bool)
    right = np.searchsorted(measured, sizes).clip(max=measured.size - 1)
    left = (right - 1).clip(min=0)
    distance = np.abs(np.log(np.stack([measured[left], measured[right]]) / sizes)).min(axis=0)
    return distance <= np.log1p(NEAR) + 1e-12  # 10 % is within 10 %, whatever its last bit


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
    keys.require_columns(runs, [*RUN, "status", "accuracy_validation", "size_bytes"], "runs")
    keys.require_distinct_runs(runs)
    ok = (runs["status"] == "ok").to_numpy()
    validation = np.where(ok, runs["accuracy_validation"].to_numpy(float), np.nan)
    size = np.where(ok, runs["size_bytes"].to_numpy(float), np.nan)
    groups = runs.groupby([*TASK, "method", "seed"], sort=False, observed=True).indices
    fronts = {}
    for key, rows in groups.items():
        front = Front.of(validation[rows], size[rows])
        fronts[key] = dataclasses.replace(front, positions=rows[front.positions])
    return fronts


def seed_curves(runs: pd.DataFrame) -> dict[tuple, Front]:
    """As :func:`seed_fronts`, with every ok run on the curve, whatever its accuracy.

    Along it is read what accuracy does not choose by. Of runs of equal size the first is kept.
    """
    keys.require_columns(runs, [*RUN, "status", "accuracy_validation", "size_bytes"], "runs")
    keys.require_distinct_runs(runs)
    sizes = runs["size_bytes"].to_numpy(float)
    size = np.where((runs["status"] == "ok") & (sizes > 0), sizes, np.nan)
    validation = runs["accuracy_validation"].to_numpy(float)
    curves = {}
    groups = runs.groupby([*TASK, "method", "seed"], sort=False, observed=True).indices
    for key, rows in groups.items():
        rows = rows[np.isfinite(size[rows])]
        own, first = np.unique(size[rows], return_index=True)
        curves[key] = Front(own, validation[rows[first]], rows[first], own)
    return curves


def at_ratios(
    runs: pd.DataFrame,
    values: pd.DataFrame | None = None,
    ratios: Sequence[float] = RATIOS,
    fronts: dict[tuple, Front] | None = None,
) -> pd.DataFrame:
    """What every method has at common sizes, seed by seed, read along its front.

    Parameters
    ----------
    runs : DataFrame, as runs.csv.
    values : DataFrame, optional; further numbers to read along the same fronts: a row per row of
        ``runs``, in its order.
    ratios : sequence of float, the common sizes, as compression ratios.
    fronts : dict, optional; what is read along, by default :func:`seed_fronts` of the runs.

    Returns
    -------
    DataFrame
        dataset, model, method, seed, ratio, near (whether the method has a run within 10 % of that
        size), accuracy_validation, accuracy, accuracy_change (against full precision of the seed)
        and the columns of ``values``. A row per ratio at which at least one method of the task is
        defined for at least one seed; NaN where it is undefined.
    """
    keys.require_columns(runs, ["accuracy", "accuracy_fp32", "size_fp32_bytes"], "runs")
    if values is not None and len(values) != len(runs):
        raise ValueError(f"values: {len(values)} rows, expected one per run: {len(runs)}")
    ratios = np.asarray(ratios, dtype=float)
    if not (np.isfinite(ratios) & (ratios > 0)).all():
        raise ValueError(f"ratios: {ratios.tolist()}, expected numbers above 0")
    names = list(values.columns) if values is not None else []
    table = values.to_numpy(float) if values is not None else np.empty((len(runs), 0))
    test = runs["accuracy"].to_numpy(float)
    # All runs of a seed repeat its full precision; those without a result may lack it.
    seeds = runs.groupby([*TASK, "seed"], sort=False, observed=True)
    full = seeds[["accuracy_fp32", "size_fp32_bytes"]].first().astype(float)
    full = dict(zip(full.index, full.to_numpy(), strict=True))
    found, tables, close = [], [], []
    for key, front in (seed_fronts(runs) if fronts is None else fronts).items():
        full_accuracy, full_size = full[key[0], key[1], key[3]]
        accuracy = test[front.positions, None]
        change = accuracy - full_accuracy
        own = np.hstack([front.validation[:, None], accuracy, change, table[front.positions]])
        tables.append(front.read(own, full_size / ratios))
        close.append(front.near(full_size / ratios))
        found.append(key)
    identity = pd.DataFrame(found, columns=[*TASK, "method", "seed"])
    result = identity.loc[identity.index.repeat(len(ratios))].reset_index(drop=True)
    result["ratio"] = np.tile(ratios, len(found))
    result["near"] = np.concatenate(close) if close else np.empty(0, dtype=bool)
    read = np.concatenate(tables) if tables else np.empty((0, 3 + table.shape[1]))
    columns = ["accuracy_validation", "accuracy", "accuracy_change", *names]
    read = pd.DataFrame(read, columns=pd.Index(columns, tupleize_cols=False))
    result = pd.concat([result, read], axis=1)
    used = result.groupby([*TASK, "ratio"], observed=True)["accuracy"].transform("count") > 0
    return result[used].reset_index(drop=True)
