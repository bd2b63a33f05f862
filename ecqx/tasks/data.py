"""What a data set is once it is prepared: tensors in three disjoint splits, in one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

_FORMAT = 2  # format 1 had no multi-label data
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Samples that are used together.

    Parameters
    ----------
    x : float32 Tensor, shape (n, C, H, W), or any other of two or more dimensions, of which the
        first counts samples; inputs, as the models take them.
    y : int64 Tensor, shape (n,), or bool Tensor, shape (n, n_classes); class indices; or, of
        multi-label data, which classes each sample has.
    mask : bool Tensor or uint8 Tensor, shape (n, H, W), optional; ground truth for localisation.
        bool: True where the evidence for the label is, not for multi-label data. uint8, a class
        map: c + 1 where class c is, 0 elsewhere.

    Raises
    ------
    ValueError : shapes or types differ from the above, or an input is not finite.
    """

    x: Tensor
    y: Tensor
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        if self.x.ndim < 2 or self.x.dtype != torch.float32:
            raise ValueError(
                f"x is {self.x.dtype} of shape {tuple(self.x.shape)}, expected float32 (n, ...)"
            )
        # the extremes are NaN if any value is, and need no mask as large as x
        if self.x.numel() and not all(bool(end.isfinite()) for end in self.x.aminmax()):
            raise ValueError("x holds values that are not finite")
        n = len(self.x)
        # two dimensions mean multi-label
        expected = torch.bool if self.multilabel else torch.int64
        if self.y.ndim not in (1, 2) or len(self.y) != n or self.y.dtype != expected:
            raise ValueError(
                f"y is {self.y.dtype} of shape {tuple(self.y.shape)}, "
                f"expected int64 ({n},) or bool ({n}, n_classes)"
            )
        if self.mask is None:
            return
        allowed = (torch.uint8,) if self.multilabel else (torch.bool, torch.uint8)
        height, width = self.x.shape[-2:]
        if tuple(self.mask.shape) != (n, height, width) or self.mask.dtype not in allowed:
            kinds = " or ".join(str(kind).removeprefix("torch.") for kind in allowed)
            raise ValueError(
                f"mask is {self.mask.dtype} of shape {tuple(self.mask.shape)}, "
                f"expected {kinds} ({n}, {height}, {width})"
            )

    def __len__(self) -> int:
        return len(self.y)

    @property
    def multilabel(self) -> bool:
        """Whether a sample can have several classes, or none."""
        return self.y.ndim == 2

    @property
    def nbytes(self) -> int:
        """Size of the tensors in bytes."""
        return sum(tensor.nbytes for tensor in vars(self).values() if tensor is not None)

    def to(self, device: torch.device) -> Split:
        """The same samples on another device."""
        tensors = vars(self).items()
        return Split(**{name: None if t is None else t.to(device) for name, t in tensors})

    def mask_of(self, index: Tensor, target: Tensor) -> Tensor:
        """Where the evidence for one class is in each of some samples.

        Parameters
        ----------
        index : int64 Tensor, shape (m,); positions in the split; any of them may come several
            times.
        target : int64 Tensor, shape (m,); a class for each.

        Returns
        -------
        bool Tensor, shape (m, H, W)
            All False where the class is not in the sample.

        Raises
        ------
        ValueError : the split has no mask.
        """
        if self.mask is None:
            raise ValueError("the split has no mask")
        mask = self.mask[index]
        if mask.dtype == torch.bool:
            return mask & (self.y[index] == target)[:, None, None]
        return mask == (target + 1)[:, None, None]


@dataclass(frozen=True)
class Dataset:
    """Three splits that share no image, speaker or voice, and the names of the classes.

    Recordings of background noise can be in several of them.

    Raises
    ------
    ValueError : a split is empty, differs in input shape or kind of labels, has a label or a mask
        value outside the classes, or, of multi-label data, no sample with any class.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split

    def __post_init__(self) -> None:
        for split_name in _SPLITS:
            split = getattr(self, split_name)
            where = f"{self.name}: the {split_name} split"
            if split.x.ndim != 4:
                raise ValueError(f"{where} has inputs of {split.x.ndim - 1} dimensions, expected 3")
            if len(split) == 0:
                raise ValueError(f"{where} is empty")
            if split.x.shape[1:] != self.train.x.shape[1:]:
                raise ValueError(
                    f"{self.name}: inputs of the {split_name} split have shape "
                    f"{tuple(split.x.shape[1:])}, those of train {self.input_shape}"
                )
            if split.multilabel != self.train.multilabel:
                raise ValueError(f"{where} and train differ in whether they are multi-label")
            self._check_labels(split_name, split)
            if split.mask is not None and split.mask.dtype == torch.uint8:
                highest = int(split.mask.max())
                if highest > len(self.classes):
                    raise ValueError(
                        f"{self.name}: class maps of the {split_name} split go up to {highest}, "
                        f"expected at most {len(self.classes)}"
                    )

    def _check_labels(self, split_name: str, split: Split) -> None:
        if split.multilabel:
            if split.y.shape[1] != len(self.classes):
                raise ValueError(
                    f"{self.name}: labels of the {split_name} split are for {split.y.shape[1]} "
                    f"classes, expected {len(self.classes)}"
                )
            if not bool(split.y.any()):
                raise ValueError(f"{self.name}: no sample of the {split_name} split has a class")
            return
        low, high = int(split.y.min()), int(split.y.max())
        if low < 0 or high >= len(self.classes):
            raise ValueError(
                f"{self.name}: labels of the {split_name} split span {low} to {high}, "
                f"expected 0 to {len(self.classes) - 1}"
            )

    @property
    def multilabel(self) -> bool:
        """Whether a sample can have several classes, or none."""
        return self.train.multilabel

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

    The file is mapped into memory, not copied: processes that read the same one share its pages.

    Raises
    ------
    ValueError : the file is missing, damaged or not a data set; path and cause are named.
    """
    try:
        # weights_only: the file holds tensors and plain containers, never code
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
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
