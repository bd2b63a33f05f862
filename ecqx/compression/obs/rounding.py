"""Optimal brain quantization of one weight: OPTQ, and CERWU with the rate of its levels.

Columns are rounded one after the other, and what is left of each is compensated by the columns
that are still open, in the metric of the layer's inputs. With a weight of the rate, the cost of a
level is its squared error plus the bits that the coder would spend on it now.

Source: OPTQ [frantar2023optq], algorithm 1; CERWU [cerwu2025] for the rate.
"""

from __future__ import annotations

import math

import numpy as np

from ecqx.compression.obs import kernels

_DAMPING = 0.01  # of the mean diagonal of the metric
_BLOCK = 128


def damped(moments: np.ndarray) -> np.ndarray:
    """The metric: moments (k, k) with a hundredth of their mean diagonal added to each."""
    size = float(np.mean(np.diag(moments)))
    # inputs that are never anything but zero: any metric does
    return moments + (_DAMPING * size if size > 0 else 1.0) * np.eye(len(moments))


def round_weight(
    weight: np.ndarray,
    metric: np.ndarray,
    low: int,
    high: int,
    lam: float = 0.0,
    table: np.ndarray | None = None,
    counts: np.ndarray | None = None,
    kept: np.ndarray | None = None,
) -> np.ndarray:
    """Codes of a weight.

    Parameters
    ----------
    weight : (rows, k) float64, in units of the step
    metric : (k, k) float64, positive definite; errors of a row e count e H e^T / 2
    low, high : smallest and largest code, ``low <= 0 <= high``
    lam : weight of a bit, in the units of the metric; 0: OPTQ
    table : (high - low + 1,), optional; bits of the levels, where they are fixed rather than those
        of the adaptive coder
    counts : state of the adaptive rate to go on from, altered; by default fresh
    kept : (rows, k) bool, optional; the code of what is not is zero, and the others make up for it

    Returns
    -------
    int32 array, shape (rows, k)
    """
    weight = np.array(weight, dtype=np.float64, order="C")
    gamma = 0.0
    if lam > 0:
        spread = float(weight.var())
        gamma = 1 / (math.log(2) * spread) if spread > 0 else 0.0
        regular = metric + lam * gamma * np.eye(len(metric))
        weight = np.ascontiguousarray(np.linalg.solve(regular, metric @ weight.T).T)
        metric = regular
    factor = np.ascontiguousarray(np.linalg.cholesky(np.linalg.inv(metric)).T)
    codes = np.zeros(weight.shape, np.int32)
    table = np.zeros(0) if table is None else np.asarray(table, dtype=np.float64)
    counts = kernels.fresh() if counts is None else counts
    kept = np.zeros((0, 0), np.bool_) if kept is None else np.ascontiguousarray(kept)
    for first in range(0, weight.shape[1], _BLOCK):
        last = min(first + _BLOCK, weight.shape[1])
        errors = kernels.eliminate(
            weight, factor, first, last, lam, gamma, low, high, table, counts, kept, codes
        )
        weight[:, last:] -= errors @ factor[first:last, last:]
    return codes
