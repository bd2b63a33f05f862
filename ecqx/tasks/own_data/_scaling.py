"""The scale of own data: mean and deviation of the training inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_ROUNDING = 1e-6  # of the largest value: what equal float32 values can seem to deviate


def statistics(train: Tensor, dim: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over some dimensions, which are kept with size 1.

    What is the same in all training inputs has the deviation 1: divided by next to nothing, another
    value in the test would exceed all others by many orders of magnitude.
    """
    mean, deviation = train.mean(dim, keepdim=True), train.std(dim, keepdim=True)
    largest = train.amax(dim, keepdim=True).maximum(-train.amin(dim, keepdim=True))
    return mean, deviation.where(deviation > _ROUNDING * largest, 1.0)
