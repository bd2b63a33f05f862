"""Images as arrays in one .npz file."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecqx.tasks.own_data import _images
from ecqx.tasks.own_data._scaling import check_normalisation
from ecqx.tasks.own_data._source import Source as _Source
from ecqx.tasks.own_data._source import check_choice, check_class_name, check_share, naming

if TYPE_CHECKING:
    import numpy as np
    from torch import Generator, Tensor

    from ecqx.tasks.data import Dataset

KEYS = ("x_train", "y_train", "x_test", "y_test")
_CHANNELS = (1, 3, 4)  # grey, colors, colors and transparency
_LOOKED_AT = 1_000_000  # about how many values
_MOST = (0.01, 0.99)  # quantiles
_FURTHEST = 5.0  # times the spread of the other split


@dataclass(frozen=True)
class Source(_Source):
    """``x_train``, ``y_train``, ``x_test`` and ``y_test`` in a file that ``numpy.savez`` writes.

    Images are all uint8 or all float, of shape (n, H, W, C) or (n, H, W); labels are integers from
    0, of shape (n,). Validation is drawn from training at random, class by class. Values, of uint8
    from 0 to 1, are normalised channel by channel.

    Parameters
    ----------
    classes : list of str, optional; names by label. By default the labels that training has, as
        text.
    normalisation : "dataset", by mean and deviation over the training images; "none"; or a mapping
        with ``mean`` and ``std``, each a number or a list of one per channel: those that a network
        was trained with.
    augmentation : "none" or "crop_flip", of the training images: see
        :func:`ecqx.tasks.augmentation.crop_and_flip`; shifts by up to an eighth of a side.
    validation : float, share of the training images.
    """

    classes: Sequence[str] | None = None
    normalisation: str | Mapping[str, Any] = "dataset"
    augmentation: str = "none"
    validation: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classes is not None and not (
            isinstance(self.classes, (list, tuple))
            and len(set(map(str, self.classes))) == len(self.classes) >= 2
            and all(isinstance(name, str) for name in self.classes)
        ):
            raise ValueError(
                f"classes: got {self.classes!r}, expected a list of at least two distinct names"
            )
        for name in self.classes or ():
            check_class_name("classes", name)
        check_normalisation(self.normalisation, None)
        check_choice("augmentation", self.augmentation, _images.AUGMENTATIONS)
        check_share("validation", self.validation)

    @property
    def augment(self) -> Callable[[Tensor, Generator], Tensor] | None:
        return _images.augmentation(self.augmentation)

    def check(self, root: Path | None) -> None:
        path = self.locate(root)
        headers = {key: _header(path, key) for key in KEYS}
        labels = {key: _read(path, key) for key in ("y_train", "y_test")}
        self._check_arrays(path, headers, labels)
        # how many images of a class go where does not depend on what is drawn
        self._split(path, labels["y_train"], seed=0)

    def prepare(self, seed: int, root: Path | None = None) -> Dataset:
        import torch

        path = self.locate(root)
        arrays = {key: _read(path, key) for key in KEYS}
        classes = self._check_arrays(
            path, {key: (a.shape, a.dtype) for key, a in arrays.items()}, arrays
        )
        train, validation = self._split(path, arrays["y_train"], seed)
        x, x_test = (_images_of(path, key, arrays[key]) for key in ("x_train", "x_test"))
        _check_ranges(path, arrays["x_train"], arrays["x_test"])
        y, y_test = (torch.from_numpy(arrays[key].astype("int64")) for key in ("y_train", "y_test"))
        parts = {
            "train": (x[train], y[train]),
            "validation": (x[validation], y[validation]),
            "test": (x_test, y_test),
        }
        with naming(path):
            return _images.normalised(self.name, classes, parts, self.normalisation)

    def _split(self, path: Path, labels: np.ndarray, seed: int) -> list[Tensor]:
        """Indices of training and validation; ValueError if one is empty or lacks a class."""
        import torch

        from ecqx.seeding import generator
        from ecqx.tasks.splitting import stratified_split

        y = torch.from_numpy(labels.astype("int64"))
        shares = (1 - self.validation, self.validation)
        train, validation = stratified_split(y, shares, generator("arrays", seed))
        if not len(validation):
            raise ValueError(
                f"{path}: a validation share of {self.validation:g} leaves it none of {len(y)} "
                "images, expected a larger share"
            )
        kept = set(y[train].tolist())
        for label, count in enumerate(y.bincount().tolist()):
            if label not in kept:
                raise ValueError(
                    f"{path}: a share of {shares[0]:g} leaves none of the {count} images of class "
                    f"{label} for training, expected more images, or a smaller validation"
                )
        return [train, validation]

    def _check_arrays(
        self,
        path: Path,
        headers: dict[str, tuple[tuple[int, ...], np.dtype]],
        labels: dict[str, np.ndarray],
    ) -> tuple[str, ...]:
        """The names of the classes; ValueError naming path and array."""
        for part in ("train", "test"):
            (x_shape, x_type), (y_shape, y_type) = headers[f"x_{part}"], headers[f"y_{part}"]
            if len(x_shape) not in (3, 4) or not (x_type == "uint8" or x_type.kind == "f"):
                raise ValueError(
                    f"{path}: x_{part} is {x_type} of shape {x_shape}, "
                    "expected uint8 or float of shape (n, H, W, C) or (n, H, W)"
                )
            if y_shape != x_shape[:1] or y_type.kind not in "iu":
                raise ValueError(
                    f"{path}: y_{part} is {y_type} of shape {y_shape}, "
                    f"expected integers of shape ({x_shape[0]},)"
                )
            if 0 in x_shape:
                raise ValueError(f"{path}: x_{part} is empty, its shape is {x_shape}")
            if _channels_first(x_shape):
                raise ValueError(
                    f"{path}: x_{part} of shape {x_shape} looks like n x C x H x W, "
                    "expected n x H x W x C"
                )
        if headers["x_train"][1].kind != headers["x_test"][1].kind:
            raise ValueError(
                f"{path}: x_test is {headers['x_test'][1]}, x_train {headers['x_train'][1]}, "
                "expected both uint8 or both float, in the same range"
            )
        if headers["x_train"][0][1:] != headers["x_test"][0][1:]:
            raise ValueError(
                f"{path}: images of x_test have shape {headers['x_test'][0][1:]}, "
                f"those of x_train {headers['x_train'][0][1:]}"
            )
        shape = headers["x_train"][0]
        check_normalisation(self.normalisation, shape[3] if len(shape) == 4 else 1)
        n_classes = len(self.classes or range(int(labels["y_train"].max()) + 1))
        for key in ("y_train", "y_test"):
            low, high = int(labels[key].min()), int(labels[key].max())
            if low < 0 or high >= n_classes:
                raise ValueError(
                    f"{path}: labels in {key} span {low} to {high}, expected 0 to {n_classes - 1}"
                )
        present = sorted(set(labels["y_train"].tolist()))
        if len(present) < n_classes:
            # in order, all before the first gap are at the place of their number
            absent = next((i for i, label in enumerate(present) if label != i), len(present))
            raise ValueError(
                f"{path}: y_train has no sample of class {absent}, expected all of 0 to "
                f"{n_classes - 1}"
            )
        if n_classes < 2:
            raise ValueError(f"{path}: y_train has one class, expected at least two")
        return tuple(self.classes or map(str, range(n_classes)))


def _channels_first(shape: tuple[int, ...]) -> bool:
    """Whether images look like those of torch: few channels in front, or a square behind them."""
    if len(shape) != 4:
        return False
    _, first, second, third = shape
    few_in_front = first in _CHANNELS and third > max(_CHANNELS)
    return few_in_front or (second == third != first)


def _check_ranges(path: Path, train: np.ndarray, test: np.ndarray) -> None:
    """ValueError if one of training and test was scaled, or shifted to both sides of 0, alone.

    Where most of the values lie tells: single ones may lie far out.
    """
    ends = {name: _ends(x) for name, x in (("x_train", train), ("x_test", test))}
    (low, high), (low_test, high_test) = ends.values()
    spread, spread_test = high - low, high_test - low_test
    if min(spread, spread_test) <= 0:
        return  # what does not vary has no scale
    without_negative = min(low, low_test) < 0 <= max(train.min(), test.min())
    if without_negative or max(spread, spread_test) > _FURTHEST * min(spread, spread_test):
        said = {name: f"{low:.3g} to {high:.3g}" for name, (low, high) in ends.items()}
        raise ValueError(
            f"{path}: x_test spans {said['x_test']}, x_train {said['x_train']} (98 % of the "
            "values), expected both in the same range"
        )


def _ends(x: np.ndarray) -> tuple[float, float]:
    import numpy as np

    values = x.reshape(-1)
    low, high = np.quantile(values[:: max(1, values.size // _LOOKED_AT)], _MOST)
    return float(low), float(high)


def _header(path: Path, key: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an array, without reading it."""
    from numpy.lib import format as npy

    def read(archive: zipfile.ZipFile) -> tuple[tuple[int, ...], np.dtype]:
        with archive.open(f"{key}.npy") as file:
            version = npy.read_magic(file)
            read_header = {
                (1, 0): npy.read_array_header_1_0,
                (2, 0): npy.read_array_header_2_0,
            }[version]
            shape, _, kind = read_header(file)
            return shape, kind

    return _opened(path, key, read)


def _read(path: Path, key: str) -> np.ndarray:
    from numpy.lib import format as npy

    def read(archive: zipfile.ZipFile) -> np.ndarray:
        with archive.open(f"{key}.npy") as file:
            array = npy.read_array(file, allow_pickle=False)
            # the checksum is compared at the end
            if file.read(1):
                raise ValueError(f"{key} goes on behind {array.shape}, which its header announces")
            return array

    return _opened(path, key, read)


def _opened(path: Path, key: str, read: Callable):
    try:
        with zipfile.ZipFile(path) as archive:
            if f"{key}.npy" in archive.namelist():
                return read(archive)
    # Encrypted, packed in a way that zipfile does not know, damaged, of another kind: each has an
    # exception of its own. The header of an array is a text that is parsed.
    except Exception as error:
        cause = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: cannot be read as .npz: {cause}") from error
    raise ValueError(f"{path}: has no array {key}, expected {', '.join(KEYS)}")


def _images_of(path: Path, key: str, array: np.ndarray) -> Tensor:
    """float32 (n, C, H, W); uint8 scaled to [0, 1]."""
    import torch

    images = torch.from_numpy(array.astype("float32"))
    if array.dtype == "uint8":
        images /= 255
    if not bool(torch.isfinite(images).all()):
        raise ValueError(f"{path}: {key} holds values that are not finite")
    return images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
