"""What a data set is once it is prepared: tensors in three disjoint splits, in one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

_FORMAT = 1
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Samples that are used together.

    Parameters
    ----------
    x : float32 Tensor, shape (n, C, H, W)
        Inputs, as the models take them.
    y : int64 Tensor, shape (n,)
        Class indices.
    mask : bool Tensor, shape (n, H, W), optional
        True where the evidence for the label is; ground truth for localisation.

    Raises
    ------
    ValueError: shapes or types differ from the above, or an input is not finite.
    """

    x: Tensor
    y: Tensor
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        if self.x.ndim != 4 or self.x.dtype != torch.float32:
            raise ValueError(
                f"x is {self.x.dtype} of shape {tuple(self.x.shape)}, expected float32 (n, C, H, W)"
            )
        if not bool(torch.isfinite(self.x).all()):
            raise ValueError("x holds values that are not finite")
        n, _, height, width = self.x.shape
        if tuple(self.y.shape) != (n,) or self.y.dtype != torch.int64:
            raise ValueError(
                f"y is {self.y.dtype} of shape {tuple(self.y.shape)}, expected int64 ({n},)"
            )
        if self.mask is not None and (
            tuple(self.mask.shape) != (n, height, width) or self.mask.dtype != torch.bool
        ):
            raise ValueError(
                f"mask is {self.mask.dtype} of shape {tuple(self.mask.shape)}, "
                f"expected bool ({n}, {height}, {width})"
            )

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Dataset:
    """Three splits that share no source (image, speaker, voice), and the names of the classes.

    Raises
    ------
    ValueError: a split is empty, differs in input shape, or has a label outside the classes.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split

    def __post_init__(self) -> None:
        for split_name in _SPLITS:
            split = getattr(self, split_name)
            if len(split) == 0:
                raise ValueError(f"{self.name}: the {split_name} split is empty")
            if split.x.shape[1:] != self.train.x.shape[1:]:
                raise ValueError(
                    f"{self.name}: inputs of the {split_name} split have shape "
                    f"{tuple(split.x.shape[1:])}, those of train {self.input_shape}"
                )
            low, high = int(split.y.min()), int(split.y.max())
            if low < 0 or high >= len(self.classes):
                raise ValueError(
                    f"{self.name}: labels of the {split_name} split span {low} to {high}, "
                    f"expected 0 to {len(self.classes) - 1}"
                )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one input."""
        return tuple(self.train.x.shape[1:])


def save(dataset: Dataset, path: str | Path) -> None:
    """Write the data set to one file that :func:`load` reads."""
    splits = {name: vars(getattr(dataset, name)) for name in _SPLITS}
    content = {
        "format": _FORMAT,
        "name": dataset.name,
        "classes": list(dataset.classes),
        "splits": splits,
    }
    torch.save(content, path)


def load(path: str | Path) -> Dataset:
    """Read a data set that :func:`save` wrote.

    Raises
    ------
    ValueError: the file is missing, damaged or not a data set; path and cause are named.
    """
    try:
        # weights_only: the file holds tensors and plain containers, never code
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different type for each kind of damage
        cause = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(f"cannot read data set {path}: {cause}") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(f"cannot read data set {path}: not a data set of format {_FORMAT}")
    try:
        splits = {name: Split(**content["splits"][name]) for name in _SPLITS}
        return Dataset(name=content["name"], classes=tuple(content["classes"]), **splits)
    except KeyError as error:
        raise ValueError(f"cannot read data set {path}: {error} is missing") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"cannot read data set {path}: {error}") from error
