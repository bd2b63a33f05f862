"""The compiled loops of optimal brain quantization, and the rate that DeepCABAC adapts to.

DeepCABAC codes a level by yes-or-no decisions: is it zero, is it negative, is its magnitude above
1, above 2 and so on to 10, and in which group of an Exp-Golomb code is the rest. The first two know
the sign of the weight before, the others the sign of the weight itself; each decision in each such
context has a probability of its own, which follows what was coded. Here it is the share of past
decisions, of which older ones count less.
"""

from __future__ import annotations

import numpy as np
from numba import njit

UNARY = 10
_GROUPS = 24  # of the Exp-Golomb code, each twice as large as the one before
CONTEXTS = 6 + 2 * UNARY + _GROUPS
_MEMORY = 1 - 1 / 256  # what a decision counts when the next one comes
_PRIOR = 0.4


def fresh() -> np.ndarray:
    """State of the model before anything is coded: (contexts, 2) counts of no and yes."""
    return np.zeros((CONTEXTS, 2))


@njit(cache=True)
def _bits(counts, context, decision):
    total = counts[context, 0] + counts[context, 1] + 2 * _PRIOR
    return -np.log2((counts[context, decision] + _PRIOR) / total)


@njit(cache=True)
def _count(counts, context, decision):
    counts[context, 0] *= _MEMORY
    counts[context, 1] *= _MEMORY
    counts[context, decision] += 1


@njit(cache=True)
def _neighbour(level):
    if level == 0:
        return 0
    return 1 if level < 0 else 2


@njit(cache=True)
def code_length(counts, level, before):
    """Bits of a level behind another one, by what was counted so far."""
    context = _neighbour(before)
    if level == 0:
        return _bits(counts, context, 0)
    negative = 1 if level < 0 else 0
    bits = _bits(counts, context, 1) + _bits(counts, 3 + context, negative)
    rest = abs(level) - 1
    for step in range(UNARY):
        greater = 1 if rest > step else 0
        bits += _bits(counts, 6 + 2 * step + negative, greater)
        if not greater:
            return bits
    rest -= UNARY
    group, base = 0, 0
    while rest > base + (1 << group) - 1:
        bits += _bits(counts, 6 + 2 * UNARY + group, 1)
        base += 1 << group
        group += 1
    return bits + _bits(counts, 6 + 2 * UNARY + group, 0) + group


@njit(cache=True)
def count(counts, level, before):
    """Take a level behind another one into account."""
    context = _neighbour(before)
    _count(counts, context, 1 if level != 0 else 0)
    if level == 0:
        return
    negative = 1 if level < 0 else 0
    _count(counts, 3 + context, negative)
    rest = abs(level) - 1
    for step in range(UNARY):
        greater = 1 if rest > step else 0
        _count(counts, 6 + 2 * step + negative, greater)
        if not greater:
            return
    rest -= UNARY
    group, base = 0, 0
    while rest > base + (1 << group) - 1:
        _count(counts, 6 + 2 * UNARY + group, 1)
        base += 1 << group
        group += 1
    _count(counts, 6 + 2 * UNARY + group, 0)


@njit(cache=True)
def coded_bits(levels, counts):
    """Bits of a matrix of levels, row by row, rows of zeros left out as the coder does."""
    bits, before = 0.0, 0
    for row in range(levels.shape[0]):
        if not levels[row].any():
            bits += 1
            continue
        for column in range(levels.shape[1]):
            level = levels[row, column]
            bits += code_length(counts, level, before)
            count(counts, level, before)
            before = level
    return bits


@njit(cache=True)
def eliminate(weights, factor, first, last, lam, gamma, low, high, table, counts, kept, codes):
    """Columns ``first`` to ``last`` of optimal brain quantization; errors of each, per row.

    Parameters
    ----------
    weights : (rows, columns) float64 in units of the step; altered up to column ``last``
    factor : (columns, columns) upper Cholesky factor of the inverse of the metric
    lam, gamma : weight of the rate, and what the prior takes off it per squared level
    low, high : smallest and largest code
    table : (high - low + 1,) bits of the levels where they are fixed; empty where they adapt
    counts : state of the rate, altered
    kept : (rows, columns) bool; the code of what is not is zero. Empty: all are.
    codes : (rows, columns) int32, written
    """
    rows = weights.shape[0]
    errors = np.zeros((rows, last - first))
    for column in range(first, last):
        pivot = factor[column, column]
        price = lam * pivot * pivot
        for row in range(rows):
            weight = weights[row, column]
            before = codes[row, column - 1] if column else 0
            nearest = min(max(int(np.rint(weight)), low), high)
            best, least = nearest, np.inf
            # with the prior, a level beyond the nearest may cost less
            start, end = (low, high) if lam > 0 else (nearest, nearest)
            if kept.size and not kept[row, column]:
                start, end = 0, 0
            for level in range(start, end + 1):
                bits = 0.0
                if lam > 0 and table.size:
                    bits = table[level - low]
                elif lam > 0:
                    bits = code_length(counts, level, before)
                cost = 0.5 * (weight - level) ** 2 + price * (bits - 0.5 * gamma * level * level)
                if cost < least:
                    best, least = level, cost
            codes[row, column] = best
            if lam > 0 and not table.size:
                count(counts, best, before)
            error = (weight - best) / pivot
            errors[row, column - first] = error
            for later in range(column + 1, last):
                weights[row, later] -= error * factor[column, later]
    return errors
