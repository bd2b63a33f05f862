"""Two methods side by side on the seeds that they share: at common sizes, or point by point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecqx.results.keys import TASK

ALIKE = 0.03  # how far the sizes of two points may be apart, as a share, to be paired


@dataclass(frozen=True)
class Readings:
    """What one method has at common sizes on one task.

    Attributes
    ----------
    seeds : ndarray, shape (s,), sorted
    ratios : ndarray, shape (r,); the common sizes as compression ratios, increasing.
    values : ndarray, shape (s, r, m); one slice per measure; NaN where nothing is known.
    """

    seeds: np.ndarray
    ratios: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Paired:
    """One method minus another, seed by seed.

    Attributes
    ----------
    by : "points" or "sizes", what was paired.
    seeds : ndarray, shape (s,); those that both have.
    differences : ndarray, shape (s, m); one column per measure, NaN where nothing could be paired.
    levels : ndarray, shape (s, m); of the first method, at the same points or sizes.
    counts : ndarray of int, shape (m,); how many points or sizes were paired.
    ratios : ndarray, shape (m, 2); the least and the largest compression ratio among them; NaN
        without any.
    """

    by: str
    seeds: np.ndarray
    differences: np.ndarray
    levels: np.ndarray
    counts: np.ndarray
    ratios: np.ndarray


def readings_of(at_ratios: pd.DataFrame, measures: list) -> dict[tuple, Readings]:
    """The frame of :func:`ecqx.results.statistics.at_ratios` as arrays.

    Sizes from which a method's nearest run is more than 10 % away are left undefined.

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
    near = ordered["near"].to_numpy(bool)[:, None]
    values = np.where(near, ordered[measures].to_numpy(float), np.nan)
    seeds, ratios = ordered["seed"].to_numpy(), ordered["ratio"].to_numpy()
    result = {}
    groups = ordered.groupby([*TASK, "method"], sort=False, observed=True)
    for key, rows in groups.indices.items():
        own_seeds, own_ratios = np.unique(seeds[rows]), np.unique(ratios[rows])
        shape = (own_seeds.size, own_ratios.size, len(measures))
        result[key] = Readings(own_seeds, own_ratios, values[rows].reshape(shape))
    return result


def pair_sizes(one: Readings, other: Readings) -> Paired:
    """``one`` minus ``other``, each seed averaged over the sizes at which it knows both.

    Sizes of the same point differ by up to a third between seeds, so that few sizes are known for
    all of them. ``counts`` and ``ratios`` are of the sizes that any seed knows.

    Parameters
    ----------
    one, other : Readings, of the same task and measures.
    """
    seeds, own, others = np.intersect1d(one.seeds, other.seeds, return_indices=True)
    differences = one.values[own] - other.values[others]
    known = np.isfinite(differences)
    means = [
        np.array([_averaged(v[None], k)[0] for v, k in zip(values, known, strict=True)])
        for values in (differences, one.values[own])
    ]
    any_seed = known.any(axis=0)
    return Paired(
        "sizes", seeds, *(mean.reshape(differences.shape[::2]) for mean in means),
        any_seed.sum(axis=0), _range(one.ratios, any_seed),
    )  # fmt: skip


def own_levels(one: Readings) -> Paired:
    """A method alone, averaged over the sizes at which it is known for all seeds."""
    common = _known(one.values)
    levels = _averaged(one.values, common)
    return Paired("sizes", one.seeds, np.full(levels.shape, np.nan), levels, common.sum(axis=0),
                  _range(one.ratios, common))  # fmt: skip


def pair_points(runs: pd.DataFrame, values: np.ndarray, method: str, other: str) -> Paired | None:
    """``method`` minus ``other``, point by point where their sizes agree within 3 %.

    A point is paired with the one of the other method that is closest in size, if they are no
    further apart with any seed. A point of the other method may be the counterpart of several.

    Parameters
    ----------
    runs : DataFrame, the rows of one task, as runs.csv.
    values : ndarray, shape (len(runs), m); the measures.
    method, other : str

    Returns
    -------
    Paired
        None if no two points are alike in size.
    """
    sizes = runs["size_bytes"].to_numpy(float)
    usable = ((runs["status"] == "ok") & (sizes > 0)).to_numpy()
    names, points = runs["method"].to_numpy(), runs["point"].to_numpy()
    every = runs["seed"].to_numpy()
    places = []
    seeds = np.intersect1d(every[names == method], every[names == other])
    if not seeds.size:
        return None
    for name in (method, other):
        table: dict[str, np.ndarray] = {}
        column = {seed: k for k, seed in enumerate(seeds)}
        for row in np.flatnonzero(usable & (names == name) & np.isin(every, seeds)):
            own = table.setdefault(points[row], np.full(len(seeds), -1))
            own[column[every[row]]] = row
        complete = [own for own in table.values() if (own >= 0).all()]
        places.append(np.array(complete, dtype=int).reshape(-1, len(seeds)))
    one, two = places
    if not one.size or not two.size:
        return None
    apart = np.abs(np.log(sizes[one])[:, None] - np.log(sizes[two])[None])
    worst = apart.max(axis=2)
    partner = worst.argmin(axis=1)
    kept = worst[np.arange(len(one)), partner] <= np.log1p(ALIKE)
    if not kept.any():
        return None
    one, two = one[kept], two[partner[kept]]
    own = np.swapaxes(values[one], 0, 1)  # (seed, pair, measure)
    differences = own - np.swapaxes(values[two], 0, 1)
    common = _known(differences)
    ratios = (runs["size_fp32_bytes"].to_numpy(float) / sizes)[one].mean(axis=1)
    return Paired(
        "points", seeds, _averaged(differences, common), _averaged(own, common),
        common.sum(axis=0), _range(ratios, common),
    )  # fmt: skip


def _known(values: np.ndarray) -> np.ndarray:
    """Where (s, r, m) is known for all seeds, shape (r, m)."""
    return np.isfinite(values).all(axis=0) & (len(values) > 0)


def _averaged(values: np.ndarray, common: np.ndarray) -> np.ndarray:
    """Mean of ``values`` (s, r, m) over what ``common`` (r, m) marks, (s, m); NaN without any."""
    counts = common.sum(axis=0)
    sums = np.where(common, values, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _range(ratios: np.ndarray, common: np.ndarray) -> np.ndarray:
    """The least and the largest of ``ratios`` (r,) that ``common`` (r, m) marks, (m, 2)."""
    found = [ratios[own] for own in common.T]
    return np.array([(own.min(), own.max()) if own.size else (np.nan, np.nan) for own in found])
