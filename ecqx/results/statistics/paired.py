"""Methods side by side at common sizes, on the seeds that they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecqx.results.keys import TASK


@dataclass(frozen=True)
class Readings:
    """What one method has at common sizes on one task.

    Attributes
    ----------
    seeds : ndarray, shape (s,), sorted
    ratios : ndarray, shape (r,); the common sizes as compression ratios, increasing.
    values : ndarray, shape (s, r, m); one slice per measure; NaN where the front is undefined.
    """

    seeds: np.ndarray
    ratios: np.ndarray
    values: np.ndarray


def readings_of(at_ratios: pd.DataFrame, measures: list) -> dict[tuple, Readings]:
    """The frame of :func:`ecqx.results.statistics.at_ratios` as arrays.

    Parameters
    ----------
    at_ratios : DataFrame, with every ratio of a task in the rows of each of its methods and seeds.
    measures : list, columns that become the last axis of ``values``.

    Returns
    -------
    dict
        (dataset, model, method) -> Readings
    """
    ordered = at_ratios.sort_values([*TASK, "method", "seed", "ratio"], ignore_index=True)
    values = ordered[measures].to_numpy(float)
    seeds, ratios = ordered["seed"].to_numpy(), ordered["ratio"].to_numpy()
    result = {}
    groups = ordered.groupby([*TASK, "method"], sort=False, observed=True)
    for key, rows in groups.indices.items():
        own_seeds, own_ratios = np.unique(seeds[rows]), np.unique(ratios[rows])
        shape = (own_seeds.size, own_ratios.size, len(measures))
        result[key] = Readings(own_seeds, own_ratios, values[rows].reshape(shape))
    return result


def common_differences(one: Readings, other: Readings) -> tuple[np.ndarray, np.ndarray]:
    """``one`` minus ``other``, averaged over common ratios, seed by seed.

    Parameters
    ----------
    one, other : Readings, of the same task and measures.

    Returns
    -------
    differences : ndarray, shape (s, m)
        For the seeds that both have; NaN for a measure without a common ratio.
    common : ndarray of bool, shape (r, m)
        The ratios at which both are defined for all of these seeds.
    """
    _, own, others = np.intersect1d(one.seeds, other.seeds, return_indices=True)
    return _averaged(one.values[own] - other.values[others])


def common_levels(one: Readings) -> tuple[np.ndarray, np.ndarray]:
    """The readings averaged over the ratios at which they are defined for all seeds.

    Returns
    -------
    levels : ndarray, shape (s, m)
    common : ndarray of bool, shape (r, m)
    """
    return _averaged(one.values)


def _averaged(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    common = np.isfinite(values).all(axis=0) & (len(values) > 0)
    return levels_at(values, common), common


def levels_at(values: np.ndarray, common: np.ndarray) -> np.ndarray:
    """Mean of ``values`` (s, r, m) over the ratios that ``common`` (r, m) marks, shape (s, m).

    NaN for a measure without a marked ratio, and where a marked value is undefined.
    """
    counts = common.sum(axis=0)
    sums = np.where(common, values, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
