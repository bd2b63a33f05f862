"""What own images have in common, whatever they are read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from ecqx.tasks.data import Dataset

AUGMENTATIONS = ("none", "crop_flip")
_PADDING = 8  # an eighth of a side: 4 pixels of 32, as customary


def augmentation(name: str) -> Callable[[Tensor, Generator], Tensor] | None:
    """The function (x, rng) -> x of that name, None for "none"."""
    return _crop_and_flip if name == "crop_flip" else None


def _crop_and_flip(x: Tensor, rng: Generator) -> Tensor:
    from ecqx.tasks.augmentation import crop_and_flip

    return crop_and_flip(x, rng, padding=max(1, min(x.shape[2:]) // _PADDING))


def normalised(
    name: str,
    classes: tuple[str, ...],
    parts: dict[str, tuple[Tensor, Tensor]],
    normalisation: str | Mapping[str, Any],
) -> Dataset:
    """The data set of images, scaled channel by channel.

    By "dataset" every channel of training gets mean 0 and deviation 1; one that is the same in all
    training images is only shifted.

    Parameters
    ----------
    name : str
    classes : tuple of str
    parts : dict, split -> (images, float32 of shape (n, C, H, W) in any range; labels, int64 of
        shape (n,)).
    normalisation : see :func:`ecqx.tasks.own_data._scaling.scale`.
    """
    from ecqx.tasks.data import Dataset, Split
    from ecqx.tasks.own_data._scaling import scale

    mean, deviation = scale(normalisation, parts["train"][0], (0, 2, 3))
    splits = {part: Split((x - mean) / deviation, y) for part, (x, y) in parts.items()}
    return Dataset(name=name, classes=classes, **splits)
