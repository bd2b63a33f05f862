"""Images as files, one folder per class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecqx.tasks.own_data import _folders, _images
from ecqx.tasks.own_data._scaling import check_normalisation
from ecqx.tasks.own_data._source import Source as _Source
from ecqx.tasks.own_data._source import check_choice, check_integer

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Generator, Tensor

    from ecqx.tasks.data import Dataset

SUFFIXES = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".bmp", ".dib", ".gif", ".tif",
    ".tiff", ".webp", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga",
)  # fmt: skip
_SIDES = (8, 4096)  # pixels
_MODES = {1: "L", 3: "RGB"}
_ORIENTATION = 0x0112  # EXIF tag
# its value -> name of the transposition that undoes it
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


@dataclass(frozen=True)
class Source(_Source):
    """A folder of images per class, in ``path`` or in ``path``/train, validation and test.

    What has no folder (validation, test, or both) is drawn from the training images at random,
    class by class. Images have 8 bits per channel; what is transparent in them is white. They are
    turned as EXIF says and scaled so that their shorter side fits, and the center is cut out. Their
    values, from 0 to 1, are normalised channel by channel.

    Parameters
    ----------
    image_size : int, 8 to 4096; pixels a side.
    channels : 1 or 3, grey or red, green and blue.
    normalisation : "dataset", by mean and deviation over the training images; "none"; or a mapping
        with ``mean`` and ``std``, each a number or a list of one per channel: those that a network
        was trained with.
    augmentation : "none" or "crop_flip", of the training images: see
        :func:`ecqx.tasks.augmentation.crop_and_flip`; shifts by up to an eighth of a side.
    validation, test : float, shares of the training images for the splits that have no folder.
    """

    image_size: int = 32
    channels: int = 3
    normalisation: str | Mapping[str, Any] = "dataset"
    augmentation: str = "none"
    validation: float = 0.1
    test: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("image_size", self.image_size, *_SIDES)
        check_choice("channels", self.channels, tuple(_MODES))
        check_normalisation(self.normalisation, self.channels)
        check_choice("augmentation", self.augmentation, _images.AUGMENTATIONS)
        _folders.check_shares(self.validation, self.test)

    @property
    def augment(self) -> Callable[[Tensor, Generator], Tensor] | None:
        return _images.augmentation(self.augmentation)

    def check(self, root: Path | None) -> None:
        listing = _folders.list_files(self.locate(root), SUFFIXES)
        for path in listing.first_files():
            _check_depth(path)
        _folders.check_split(listing, self._shares)

    def unread(self, root: Path | None) -> str | None:
        return _folders.list_files(self.locate(root), SUFFIXES).told()

    def prepare(self, seed: int, root: Path | None = None) -> Dataset:
        import torch

        from ecqx.seeding import generator

        listing = _folders.list_files(self.locate(root), SUFFIXES)
        splits = _folders.complete_splits(listing, self._shares, generator("image_folder", seed))
        parts = {
            name: (
                torch.stack([self._read(path) for path, _ in files]).float() / 255,
                torch.tensor([label for _, label in files]),
            )
            for name, files in splits.items()
        }
        return _images.normalised(self.name, listing.classes, parts, self.normalisation)

    @property
    def _shares(self) -> dict[str, float]:
        return {"validation": self.validation, "test": self.test}

    def _read(self, path: Path) -> Tensor:
        """uint8 (channels, image_size, image_size); ValueError naming the path."""
        import numpy as np
        import torch
        from PIL import Image, ImageOps

        _check_depth(path)
        mode, size = _MODES[self.channels], (self.image_size, self.image_size)
        image = _opened(path, lambda image: _on_white(_upright(image)).convert(mode))
        pixels = np.array(ImageOps.fit(image, size, Image.Resampling.BILINEAR))
        return torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1)


def _check_depth(path: Path) -> None:
    """ValueError naming the path if its header tells of more than 8 bits: they would be clipped."""
    mode = _opened(path, lambda image: image.mode)
    if mode.startswith(("I", "F")):
        raise ValueError(f"{path}: mode {mode}, expected 8 bits per channel")


def _opened(path: Path, look: Callable[[Image], Any]) -> Any:
    """What ``look`` makes of an image; ValueError naming the path if it cannot."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return look(image)
    except Exception as error:  # Pillow raises a different type for each kind of damage
        cause = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: cannot be read as an image: {cause}") from error


def _upright(image: Image) -> Image:
    from PIL.Image import Transpose

    image.load()
    # nothing else in EXIF is read, so damage to the rest does not matter
    turned = _UPRIGHT.get(image.getexif().get(_ORIENTATION))
    return image.transpose(Transpose[turned]) if turned else image


def _on_white(image: Image) -> Image:
    from PIL import Image

    if "transparency" not in image.info and not image.mode.endswith(("A", "a")):
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
