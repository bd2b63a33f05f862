"""Differences between two methods on the same seeds: size of the effect, tests, correction.

What three seeds can show: Student's t-test needs differences that are large against their spread
(|t| > 4.3, |d_z| > 2.5 for p < 0.05) and rests on their being normally distributed, which three
values cannot tell. The signed-rank test of Wilcoxon assumes symmetry alone, and its smallest
two-sided p-value is 2 / 2^n: 0.25 for three seeds, below 0.05 from six seeds on. So with fewer
than six seeds it can never reject, whatever the data.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import stdtr  # scipy.stats imports three times as slowly

from ecqx.results.statistics.intervals import mean_interval


class Comparison(NamedTuple):
    """Differences over ``n`` pairs.

    Attributes
    ----------
    mean, half_width : float, mean difference and half width of its 95 % t-interval.
    n : int, pairs in which both values are defined.
    d_z : float, cohen's d of paired samples: mean over standard deviation of the differences (not
        corrected for few pairs). 0 if all differences are 0, NaN if they are equal otherwise.
    p_t : float, two-sided p-value of the paired t-test; NaN below two pairs and for a spread of 0
        about another mean than 0.
    p_wilcoxon : float, exact two-sided p-value of the signed-rank test.
    """

    mean: float
    half_width: float
    n: int
    d_z: float
    p_t: float
    p_wilcoxon: float


def compare_pairs(differences) -> Comparison:
    """Effect and tests of paired differences, shape (n,); non-finite ones are left out."""
    differences = np.asarray(differences, dtype=float).ravel()
    differences = differences[np.isfinite(differences)]
    mean, half_width, n = mean_interval(differences)
    if n < 2:
        return Comparison(mean, half_width, n, float("nan"), float("nan"), float("nan"))
    std = differences.std(ddof=1)
    if std > 1e-12 * np.abs(differences).max():  # less is rounding
        d_z = mean / std
        p_t = 2 * stdtr(n - 1, -abs(d_z) * np.sqrt(n))
    else:
        d_z, p_t = (0.0, 1.0) if mean == 0 else (float("nan"), float("nan"))
    return Comparison(mean, half_width, n, float(d_z), float(p_t), signed_rank(differences))


def signed_rank(differences) -> float:
    """Exact two-sided p-value of Wilcoxon's signed-rank test; zeros are left out, ties averaged.

    The distribution under the null hypothesis is that of the rank sum over all 2^n signs, given the
    ranks at hand, so that ties leave it exact. 1 without any difference from zero.

    Source: Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1 (6), 1945;
    Pratt and Gibbons, Concepts of nonparametric theory, 1981, for ties.
    """
    differences = np.asarray(differences, dtype=float).ravel()
    differences = differences[np.isfinite(differences) & (differences != 0)]
    if differences.size == 0:
        return 1.0
    size = np.abs(differences)
    # Twice the average rank is an integer.
    ranks = (size[:, None] > size).sum(axis=1) + (size[:, None] >= size).sum(axis=1) + 1
    chance = np.ones(1)
    for rank in ranks:
        longer = np.zeros(chance.size + rank)
        longer[: chance.size] += chance / 2
        longer[rank:] += chance / 2
        chance = longer
    positive = int(ranks[differences > 0].sum())
    smaller = min(positive, int(ranks.sum()) - positive)
    return float(min(1.0, 2 * chance[: smaller + 1].sum()))


def least_signed_rank(n: int) -> float:
    """The smallest p-value that the signed-rank test can give with ``n`` pairs."""
    return min(1.0, 2.0 ** (1 - n))


def holm(p_values) -> np.ndarray:
    """Holm's step-down adjustment of p-values, shape (n,).

    NaN (nothing was tested) stays NaN and does not count among the tests.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6 (2), 1979.
    """
    p_values = np.asarray(p_values, dtype=float)
    if p_values.ndim != 1 or ((p_values < 0) | (p_values > 1)).any():
        raise ValueError(f"p_values: {p_values.tolist()}, expected numbers from 0 to 1")
    adjusted = np.full(p_values.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    steps = p_values[order] * np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if order.size else steps
    return adjusted
