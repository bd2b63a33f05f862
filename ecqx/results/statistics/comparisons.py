"""Differences between two methods on the same seeds: size of the effect, tests, correction.

A test that does not reject shows nothing: that two methods are level is what the equivalence test
shows, and the least detectable difference says what the comparison could have found.

What three seeds can show: Student's t-test needs differences that are large against their spread
(|t| > 4.3, |d_z| > 2.5 for p < 0.05) and rests on their being normally distributed, which three
values cannot tell. The signed-rank test of Wilcoxon assumes symmetry alone, and its smallest
two-sided p-value is 2 / 2^n: 0.25 for three seeds, below 0.05 from six seeds on. So with fewer
than six seeds it can never reject, whatever the data.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import nctdtrinc, stdtr, stdtrit  # scipy.stats imports three times as slowly

from ecqx.results.statistics.intervals import mean_interval

_LEVEL, _POWER = 0.05, 0.8


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
    if _spreads(differences):
        d_z = mean / differences.std(ddof=1)
        p_t = 2 * stdtr(n - 1, -abs(d_z) * np.sqrt(n))
    else:
        d_z, p_t = (0.0, 1.0) if mean == 0 else (float("nan"), float("nan"))
    return Comparison(mean, half_width, n, float(d_z), float(p_t), signed_rank(differences))


def _spreads(differences: np.ndarray) -> bool:
    """Whether they differ by more than rounding."""
    return differences.std(ddof=1) > 1e-12 * np.abs(differences).max()


def equivalence(differences, margin: float) -> float:
    """p-value of two one-sided t-tests: the mean difference lies within ``margin`` of 0.

    Below 0.05, the 90 % interval of the mean lies inside the margin: two methods are level.

    Source: Schuirmann, A comparison of the two one-sided tests procedure and the power approach,
    Journal of Pharmacokinetics and Biopharmaceutics 15 (6), 1987.

    Parameters
    ----------
    differences : array_like, shape (n,); non-finite ones are left out.
    margin : float, above 0; in the unit of the differences.

    Returns
    -------
    float
        NaN below two differences, without a margin (NaN), and where all are equal otherwise than 0
        (as identical networks are, with 0 for the p-value): nothing is known of their spread.
    """
    differences = np.asarray(differences, dtype=float).ravel()
    differences = differences[np.isfinite(differences)]
    n = differences.size
    if n < 2 or np.isnan(margin):
        return float("nan")
    if not _spreads(differences):
        return 0.0 if differences.mean() == 0 else float("nan")
    error = differences.std(ddof=1) / np.sqrt(n)
    # the smaller distance to an end of the margin has the larger p-value
    return float(stdtr(n - 1, -(margin - abs(differences.mean())) / error))


def least_detectable(differences) -> float:
    """The mean difference that as many pairs with this spread would have shown 4 times out of 5.

    That is, to which the paired t-test at the 5 % level, two-sided, has a power of 80 %; the other
    tail is neglected. NaN below two differences.

    Source: Cohen, Statistical power analysis for the behavioral sciences, 2nd edition, 1988,
    chapter 2; here with the noncentral t-distribution.
    """
    differences = np.asarray(differences, dtype=float).ravel()
    differences = differences[np.isfinite(differences)]
    n = differences.size
    if n < 2:
        return float("nan")
    critical = stdtrit(n - 1, 1 - _LEVEL / 2)
    noncentrality = nctdtrinc(n - 1, 1 - _POWER, critical)
    return float(noncentrality * differences.std(ddof=1) / np.sqrt(n))


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
