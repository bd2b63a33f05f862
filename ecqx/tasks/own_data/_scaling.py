"""The scale of own data: what is subtracted from all inputs, and what they are divided by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_NAMED = ("dataset", "none")
_PAIR = ("mean", "std")
_ROUNDING = 1e-6  # of the largest value: what equal float32 values can seem to deviate


def check_normalisation(value: Any, channels: int | None) -> None:
    """ValueError unless the value is a normalisation.

    Parameters
    ----------
    value : "dataset", "none", or a mapping with ``mean`` and ``std``, each a number or a list of
        one per channel.
    channels : int, how many there are; None if that is not known yet.
    """
    if value in _NAMED:
        return
    if not isinstance(value, Mapping) or set(value) != set(_PAIR):
        raise ValueError(
            f"normalisation: got {value!r}, expected one of {', '.join(_NAMED)}, or a mapping with "
            f"{' and '.join(_PAIR)}"
        )
    for key in _PAIR:
        numbers = value[key] if isinstance(value[key], list) else [value[key]]
        sound = all(
            isinstance(number, (int, float)) and not isinstance(number, bool)
            and math.isfinite(number) and (key == "mean" or number > 0)
            for number in numbers
        )  # fmt: skip
        if not (numbers and sound):
            above = " above 0" if key == "std" else ""
            raise ValueError(
                f"normalisation.{key}: got {value[key]!r}, expected a finite number{above}, or a "
                "list of one per channel"
            )
        if channels is not None and len(numbers) not in (1, channels):
            raise ValueError(
                f"normalisation.{key}: got {len(numbers)} numbers, expected 1 or {channels}, the "
                "number of channels"
            )


def scale(
    normalisation: str | Mapping[str, Any], train: Tensor, dim: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """What is to be subtracted from inputs, and what they are then divided by.

    Parameters
    ----------
    normalisation : "dataset", mean and deviation of the training inputs; "none", 0 and 1; or a
        mapping with both, as :func:`check_normalisation` takes it.
    train : Tensor, shape (n, ...), the training inputs.
    dim : sequence of int, the dimensions over which they are the same; that of the channels is the
        one which is left.

    Returns
    -------
    (Tensor, Tensor)
        Of the number of dimensions of ``train``, of size 1 in ``dim``.
    """
    import torch

    if normalisation == "dataset":
        return _statistics(train, dim)
    shape = [1 if d in dim else size for d, size in enumerate(train.shape)]
    pair = {"mean": 0.0, "std": 1.0} if normalisation == "none" else normalisation
    mean, std = (torch.tensor(pair[key], dtype=train.dtype) for key in _PAIR)
    # a list is one number per channel, a number that of all
    return tuple(number.expand(math.prod(shape)).reshape(shape) for number in (mean, std))


def _statistics(train: Tensor, dim: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over some dimensions, which are kept with size 1.

    What is the same in all training inputs has the deviation 1: divided by next to nothing, another
    value in the test would exceed all others by many orders of magnitude.
    """
    mean, deviation = train.mean(dim, keepdim=True), train.std(dim, keepdim=True)
    largest = train.amax(dim, keepdim=True).maximum(-train.amin(dim, keepdim=True))
    return mean, deviation.where(deviation > _ROUNDING * largest, 1.0)
