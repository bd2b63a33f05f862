"""Which weights of a large tensor become zero, with the thresholds of only a few of them.

The beta of :class:`ecqx.compression.assignment.zero_choice.ZeroChoice` is bracketed by a sample.
Whether a weight's threshold lies below, above or perhaps inside the bracket is read off two tables
over its bins, and only those of the last kind are computed: some hundredths of all, where the
logarithms of all would be most of the cost of an assignment. The result is the same; a bracket that
misses is noticed. For tensors on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ecqx.compression.assignment import kernels
from ecqx.compression.assignment.diagram import Bins
from ecqx.compression.assignment.zero_choice import ZeroChoice

_SAMPLE = 4096  # weights whose thresholds bracket an order statistic
_NEAR = 0.1  # how far beta is expected to move from one training step to the next, relative
_MARGIN = 112  # of them on either side: three and a half standard deviations of a rank


def decide(choice: ZeroChoice, guess: float | None = None) -> tuple[Tensor, float]:
    """What :meth:`ZeroChoice.of_all` returns.

    Parameters
    ----------
    guess : what beta may be near to, as it was for nearly the same weights: spares the sample
    """
    found = None
    if guess is not None:
        found = decide_within(choice, (guess - _NEAR * abs(guess), guess + _NEAR * abs(guess)))
    if found is None:
        found = decide_within(choice, sampled(choice))
    if found is None:  # a sample is rarely, but can be, not representative
        codes, beta = choice.of_all()
        return codes, float(beta)
    return found


def sampled(choice: ZeroChoice) -> tuple[float, float]:
    """Two numbers between which beta most probably lies, from a sample of the weights."""
    weights = len(choice.weight)
    stride = weights // _SAMPLE | 1  # odd: meets all columns of a weight matrix
    sample = choice.thresholds(np.arange(0, weights, stride))[0].numpy()

    def ends(side: int) -> Iterator[float]:
        """The lowest or highest that the thresholds at both ends of the window can be."""
        for count in (int(choice.fewest), int(choice.most)):
            place = int(count * len(sample) / weights) + side * _MARGIN
            if count == 0 or place < 0:
                yield -math.inf
            elif place >= len(sample):
                yield math.inf
            else:
                yield float(np.partition(sample, place)[place])

    low, high = (
        min(max(choice.neutral, min(fewest, 1.0)), most) for fewest, most in (ends(-1), ends(1))
    )
    return low, high


def decide_within(choice: ZeroChoice, bracket: tuple[float, float]) -> tuple[Tensor, float] | None:
    """Codes, int32, shape (n,), and beta; None if beta does not lie in the bracket."""
    codes = torch.empty(len(choice.weight), dtype=torch.int32)
    places, zeros = undecided(choice, bracket, codes)
    threshold, code = choice.thresholds(places)
    beta = float(choice.beta(threshold, zeros))
    if not bracket[0] <= beta <= bracket[1]:
        return None
    codes.numpy()[places] = code.mul_(threshold > beta).numpy()
    return codes, beta


def undecided(
    choice: ZeroChoice, bracket: tuple[float, float], codes: Tensor
) -> tuple[np.ndarray, int]:
    """Fill in the codes of those weights whose threshold is not inside the bracket.

    Returns
    -------
    the places of the others, int32, and how many of those filled in are zero
    """
    placed, relative = choice.placed, choice.relative.numpy()
    bins, grid = Bins.of(placed.grid), placed.grid
    zeroed, kept = np.empty(bins.number, relative.dtype), np.empty(bins.number, relative.dtype)
    code_of_bin = np.empty(bins.number, dtype=np.int32)
    kernels.limits(
        choice.diagram.below,
        choice.price.numpy(),
        bins.first,
        bins.width,
        grid.low,
        grid.step,
        float(choice.rho),
        bracket,
        zeroed,
        kept,
        code_of_bin,
    )
    places = np.empty(len(codes), dtype=np.int32)
    zeros, found = kernels.separate(
        placed.index, relative, zeroed, kept, code_of_bin, codes.numpy(), places
    )
    return places[:found], zeros
