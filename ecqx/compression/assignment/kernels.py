"""Loops over the weights of a tensor, compiled for the CPU.

Each of these is a dozen tensor operations, and as such bound by memory traffic: as one loop it
takes a quarter of the time. Arrays are NumPy's; numbers that are computed with have the type of the
weights. Compiled code is kept beside the sources, or in the user's cache folder.

`Bins` are cells of equal width, 64 to the step of a grid; see
:class:`ecqx.compression.assignment.diagram.Placed`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from torch import Tensor

_compiled = njit(cache=True, nogil=True, error_model="numpy")

_CHUNK = 1024  # intermediate results of this many weights stay in the first-level cache


def serve(tensor: Tensor) -> bool:
    """Whether these loops are for the tensor; on other devices tensor operations do the same."""
    return tensor.device.type == "cpu"


@_compiled
def place(values, scale, offset, last, index):
    """Bin of each value, ``values * scale - offset`` rounded down, clipped to 0 ... last.

    A monotone function, whatever the rounding. NaN goes to bin 0. ``index``, uint16, is filled.
    """
    for i in range(values.size):
        # two roundings in every lane: no fused operation, which would not be the same everywhere
        scaled = values[i] * scale
        bin_ = scaled - offset
        bin_ = bin_ if bin_ > 0 else values.dtype.type(0)
        index[i] = np.uint16(min(bin_, last))


@_compiled
def count(index, bins):
    """How many weights lie in each bin: int64, shape (bins,)."""
    # Four counters: neighbors often share a bin and would wait for each other.
    partial = np.zeros((4, bins), dtype=np.int32)
    whole = index.size - index.size % 4
    for i in range(0, whole, 4):
        for lane in range(4):
            partial[lane, index[i + lane]] += 1
    for i in range(whole, index.size):
        partial[0, index[i]] += 1
    return partial.sum(axis=0).astype(np.int64)


@_compiled
def count_below(holder, below):
    """How many of the boundaries in bins ``holder``, int64, increasing, lie below each bin.

    ``below``, int32, shape (bins + 1,), is filled.
    """
    passed = 0
    for i in range(below.size):
        while passed < holder.size and holder[passed] < i:
            passed += 1
        below[i] = passed


@_compiled
def count_between(values, lower, upper):
    """How many values are above ``lower`` and at most ``upper``."""
    found = 0
    for i in range(values.size):
        found += (values[i] > lower) & (values[i] <= upper)
    return found


@_compiled
def look_up(weight, index, below, bounds, low, codes):
    """Code of each weight: ``low`` plus the number of boundaries below it.

    ``below`` holds that number for the beginning of each bin; ``bounds``, increasing, ends with
    infinity. ``codes``, int32, is filled.
    """
    for i in range(weight.size):
        position = below[index[i]]
        while weight[i] > bounds[position]:
            position += 1
        codes[i] = position + low


@_compiled
def thresholds(
    places, weight, index, relative, below, bounds, low, step, price, rho, threshold, code
):
    """ln(c1 / (rho c0)) / ln R of the weights at ``places``, and their codes but zero.

    c0 is a weight's cost of zero, c1 that of the best level without zero, R its relevance, kept off
    0 and 1 by one float. ``threshold`` and ``code``, int32, are filled.
    """
    least = np.finfo(weight.dtype).tiny
    most = weight.dtype.type(1) - np.finfo(weight.dtype).eps / weight.dtype.type(2)
    zero_price = price[-low]
    for j in range(places.size):
        i = places[j]
        value = weight[i]
        position = below[index[i]]
        while value > bounds[position]:
            position += 1
        distance = value - (position + low) * step
        other = distance * distance + price[position]
        zero = rho * (value * value + zero_price)
        threshold[j] = math.log(other / zero) / math.log(min(max(relative[i], least), most))
        code[j] = position + low


@_compiled
def separate(index, relative, zeroed, kept, code_of_bin, codes, undecided):
    """Code of each weight that its bin and relevance decide on; where the others are.

    A weight becomes zero if its relevance is at most that of its bin in ``zeroed``, keeps the code
    of its bin above that in ``kept``. ``codes``, int32, and the beginning of ``undecided``, int32,
    are filled.

    Returns
    -------
    how many certainly become zero, how many are undecided
    """
    zeros, found = 0, 0
    upper, lower = np.empty(_CHUNK, kept.dtype), np.empty(_CHUNK, zeroed.dtype)
    code, between = np.empty(_CHUNK, np.int32), np.empty(_CHUNK, np.uint8)
    for start in range(0, index.size, _CHUNK):
        size = min(_CHUNK, index.size - start)
        # Slices, since only indices that cannot be negative let the compiler use vectors.
        bins, own = index[start : start + size], relative[start : start + size]
        out = codes[start : start + size]
        # Three loops: together, they would branch on what cannot be predicted.
        for j in range(size):
            lower[j], upper[j], code[j] = zeroed[bins[j]], kept[bins[j]], code_of_bin[bins[j]]
        for j in range(size):
            above = np.int32(own[j] > lower[j])
            out[j] = code[j] * above
            zeros += 1 - above
            between[j] = np.uint8(own[j] > lower[j]) & np.uint8(own[j] <= upper[j])
        for j in range(size):
            if between[j]:
                undecided[found] = start + j
                found += 1
    return zeros, found


@_compiled
def limits(below, price, first, width, low, step, rho, bracket, zeroed, kept, code_of_bin):
    """For :func:`separate`: what R has to be in each bin for a threshold to be outside a bracket.

    t <= beta says  R <= (c1 / (rho c0))^(1 / beta);  within a bin, both costs lie between those at
    its ends and at the level. ``first`` and ``width`` say where the bins lie; ``below`` has one
    more entry than there are bins, all in float64. The last three arrays are filled.
    """
    bins = kept.size
    tiny = float(np.finfo(kept.dtype).tiny)
    begin, end = bracket
    for i in range(bins):
        zeroed[i], kept[i], code_of_bin[i] = -1.0, np.inf, below[i] + low
        # a bin that holds a boundary has two codes; those at the ends have no end
        if below[i + 1] != below[i] or i == 0 or i == bins - 1:
            continue
        # a thousandth of a bin on either side, and of a logarithm below, for rounding
        lower, upper = first + (i - 1e-3) * width, first + (i + 1 + 1e-3) * width
        level = (below[i] + low) * step
        nearest = max(lower - level, level - upper, 0.0)
        farthest = max(abs(lower - level), abs(upper - level))
        other_least = nearest * nearest + price[below[i]]
        other_most = farthest * farthest + price[below[i]]
        nearest, farthest = max(lower, -upper, 0.0), max(abs(lower), abs(upper))
        zero_least = rho * (nearest * nearest + price[-low])
        zero_most = rho * (farthest * farthest + price[-low])
        least = math.log(other_least / zero_most) - 1e-3
        most = math.log(other_most / zero_least) + 1e-3
        if begin > 0:
            certain = math.exp(least / begin) * (1 - 1e-5)
            if certain >= tiny:  # R counts as at least that much
                zeroed[i] = certain
        elif begin == 0 and least > 0:
            zeroed[i] = np.inf
        if 0 < end < np.inf:
            possible = math.exp(most / end) * (1 + 1e-5)
            kept[i] = possible if possible >= tiny else -1.0
        elif end <= 0 and most < 0:
            kept[i] = -1.0
