"""Means over seeds and how far they can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit  # scipy.stats imports three times as slowly

CONFIDENCE = 0.95
RESAMPLES = 10_000


class Interval(NamedTuple):
    """Mean over seeds, half width of its confidence interval (NaN below two values), count."""

    mean: float
    half_width: float
    n: int


def check_confidence(confidence: float) -> None:
    """Raise ValueError unless ``confidence`` lies between 0 and 1, both excluded."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: {confidence} is not in (0, 1)")


def half_width(std, n, confidence: float = CONFIDENCE):
    """Half width of Student's t-interval of a mean, elementwise.

    Parameters
    ----------
    std : array_like, sample standard deviation (ddof 1).
    n : array_like, number of values; below two the half width is NaN: one seed says nothing on the
        spread.
    confidence : float, coverage in (0, 1).
    """
    check_confidence(confidence)
    std, n = np.asarray(std, dtype=float), np.asarray(n, dtype=float)
    enough = n >= 2
    degrees = np.where(enough, n - 1, 1)
    width = stdtrit(degrees, 0.5 + confidence / 2) * std / np.sqrt(np.where(enough, n, 1))
    return np.where(enough, width, np.nan)


def mean_interval(values, confidence: float = CONFIDENCE) -> Interval:
    """Mean with t-interval over the finite ones of ``values``; ``n`` is how many those are."""
    values = np.asarray(values, dtype=float).ravel()
    values = values[np.isfinite(values)]
    if values.size == 0:
        return Interval(float("nan"), float("nan"), 0)
    std = values.std(ddof=1) if values.size > 1 else float("nan")
    return Interval(
        float(values.mean()), float(half_width(std, values.size, confidence)), int(values.size)
    )


class RatioInterval(NamedTuple):
    """Geometric mean over seeds, ends of its confidence interval (NaN below two values), count."""

    mean: float
    low: float
    high: float
    n: int


def ratio_interval(values, confidence: float = CONFIDENCE) -> RatioInterval:
    """Geometric mean with the t-interval of the logs, over the finite positive ones of ``values``.

    For ratios, sizes and times: twice and half are equally far from one, and no end is negative.
    """
    values = np.asarray(values, dtype=float).ravel()
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, half, n = mean_interval(np.log(values), confidence)
    low, middle, high = np.exp([mean - half, mean, mean + half])
    return RatioInterval(float(middle), float(low), float(high), n)


def bootstrap_interval(values, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of the finite ones of ``values``.

    Of three values it is their range: all three draws are the smallest in 1 of 27 resamples, which
    is more than the 2.5 % cut off. With so few values the bootstrap covers less than it says; it is
    free of the assumption of a normal distribution, not of the smallness of the sample.

    Source: Efron and Tibshirani, An introduction to the bootstrap, 1993, section 13.3.

    Parameters
    ----------
    values : array_like
    confidence : float, coverage in (0, 1).

    Returns
    -------
    low, high : float
        NaN below two values. The same values give the same interval: the generator is seeded.
    """
    check_confidence(confidence)
    values = np.asarray(values, dtype=float).ravel()
    values = values[np.isfinite(values)]
    if values.size < 2:
        return float("nan"), float("nan")
    draws = np.random.default_rng(0).integers(values.size, size=(RESAMPLES, values.size))
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(values[draws].mean(axis=1), tails)
    return float(low), float(high)


def aggregate(frame: pd.DataFrame, keys: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Mean, half width and count of ``columns`` per group of ``keys``, sorted by ``keys``.

    Non-finite values are left out and the count says so. The result has the keys and, per column,
    ``<column>_mean``, ``<column>_half_width`` (95 % t-interval) and ``<column>_n``.
    """
    keys, columns = list(keys), list(columns)
    values = frame[columns].astype(float).replace([np.inf, -np.inf], np.nan)
    grouped = pd.concat([frame[keys], values], axis=1).groupby(keys, observed=True)
    mean, std, count = (grouped[columns].agg(how) for how in ("mean", "std", "count"))
    result = {}
    for column in columns:
        result[f"{column}_mean"] = mean[column]
        result[f"{column}_half_width"] = half_width(std[column], count[column])
        result[f"{column}_n"] = count[column]
    return pd.DataFrame(result, index=mean.index).reset_index()


def aggregate_ratios(
    frame: pd.DataFrame, keys: Sequence[str], columns: Sequence[str]
) -> pd.DataFrame:
    """As :func:`aggregate`, of the logs: for ratios, sizes and times.

    The result has the keys and, per column, ``<column>_geomean``, ``<column>_low`` and
    ``<column>_high`` (ends of the 95 % t-interval of the logs) and ``<column>_n``. Values that are
    not above 0 are left out.
    """
    keys, columns = list(keys), list(columns)
    values = frame[columns].astype(float)
    logs = np.log(values.where(values > 0))
    table = aggregate(pd.concat([frame[keys], logs], axis=1), keys, columns)
    result = table[keys].copy()
    for column in columns:
        mean, half = table[f"{column}_mean"], table[f"{column}_half_width"]
        result[f"{column}_geomean"] = np.exp(mean)
        result[f"{column}_low"], result[f"{column}_high"] = np.exp(mean - half), np.exp(mean + half)
        result[f"{column}_n"] = table[f"{column}_n"]
    return result
