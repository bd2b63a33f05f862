"""The step with which a grid's nearest levels are closest to the weights, in squared distance.

For given codes k the best step is the regression of the weights on them, sum(k w) / sum(k^2), and
leaves the error sum(w^2) - sum(k w)^2 / sum(k^2). As the step shrinks from infinity, one weight
after the other moves on to its next code. So the nearest codes of all steps there are take one pass
over the sorted steps at which that happens, weights times codes in number.
"""

from __future__ import annotations

import numpy as np

_MOVES = 1 << 20  # in one pass: some 40 bytes of memory each
_STARTS = 2048
_KEPT = 32
_TURNS = 100


def least_squares_step(weights: np.ndarray, low: int, high: int) -> float:
    """The step that minimises sum (w - step * k)^2 with k the nearest code of each weight.

    The minimum is exact, but for tensors of very many weights. There the error hardly has kinks:
    regression and nearest codes in turn lead from a start to a local minimum, and starts are the
    valleys among 2048 steps that span all that can be one.

    Parameters
    ----------
    weights : float64 array, shape (n,), not all zero
    low, high : smallest and largest code, ``low <= 0 < high``; below 0 where weights are

    Returns
    -------
    float > 0
    """
    known = weights[weights != 0]
    reach = np.where(known > 0, high, -low)
    if reach.sum() <= _MOVES:
        return _of_all_moves(np.abs(known), reach)
    return _of_valleys(np.sort(known), low, high)


def _of_all_moves(magnitudes: np.ndarray, reach: np.ndarray) -> float:
    moving = np.repeat(magnitudes, reach)
    firsts = np.repeat(np.cumsum(reach) - reach, reach)
    codes = np.arange(len(moving)) - firsts + 1
    order = np.argsort((codes - 0.5) / moving)
    product = np.cumsum(moving[order])
    norm = np.cumsum(2 * codes[order] - 1)
    best = np.argmax(product * (product / norm))
    return float(product[best] / norm[best])


def _of_valleys(weights: np.ndarray, low: int, high: int) -> float:
    codes = np.arange(low, high + 1)
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    squares = float(np.square(weights).sum())

    def at(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Error, and the step to which the weights regress on their codes, for each step."""
        ends = np.zeros((len(steps), len(codes) + 1), dtype=np.int64)
        ends[:, 1:-1] = np.searchsorted(weights, (codes[:-1] + 0.5) * steps[:, None])
        ends[:, -1] = len(weights)
        product = np.diff(sums[ends], axis=1) @ codes
        norm = np.diff(ends, axis=1) @ np.square(codes)
        errors = squares - 2 * steps * product + np.square(steps) * norm
        return errors, np.where(norm > 0, product / np.maximum(norm, 1), steps)

    magnitudes = np.abs(weights)
    # below the first step all codes are at the ends, above the last all are zero
    first = magnitudes.min() / max(-low, high)
    steps = np.geomspace(first, 2 * magnitudes.max(), _STARTS)
    errors, _ = at(steps)
    around = np.pad(errors, 1, constant_values=np.inf)
    valleys = (errors <= around[:-2]) & (errors <= around[2:])
    steps = steps[valleys][np.argsort(errors[valleys])][:_KEPT]
    for _ in range(_TURNS):
        errors, regressed = at(steps)
        if np.array_equal(regressed, steps):
            break
        steps = regressed
    return float(steps[errors.argmin()])
