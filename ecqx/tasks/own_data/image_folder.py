"""Images as files, one folder per class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecqx.tasks.own_data import _folders, _images
from ecqx.tasks.own_data._source import Source as _Source
from ecqx.tasks.own_data._source import check_choice, check_integer

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from ecqx.tasks.data import Dataset

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
_MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True)
class Source(_Source):
    """A folder of images per class, in ``path`` or in ``path``/train, validation and test.

    What has no folder (validation, test, or both) is drawn from the training images at random,
    class by class. Images are scaled so that their shorter side fits, the center is cut out, and
    every channel is standardised by its mean and deviation over the training images.

    Parameters
    ----------
    image_size : int, at least 8
        Pixels a side.
    channels : 1 or 3
        Grey or red, green and blue.
    augmentation : "none" or "crop_flip"
        Of the training images: see :func:`ecqx.tasks.augmentation.crop_and_flip`; shifts by up to
        an eighth of a side.
    validation, test : float
        Shares of the training images for the splits that have no folder.
    """

    image_size: int = 32
    channels: int = 3
    augmentation: str = "none"
    validation: float = 0.1
    test: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("image_size", self.image_size, 8)
        check_choice("channels", self.channels, tuple(_MODES))
        check_choice("augmentation", self.augmentation, _images.AUGMENTATIONS)
        _folders.check_shares(self.validation, self.test)

    @property
    def augment(self) -> Callable[[Tensor, Generator], Tensor] | None:
        return _images.augmentation(self.augmentation)

    def check(self, root: Path | None) -> None:
        _folders.list_files(self.locate(root), SUFFIXES)

    def prepare(self, seed: int, root: Path | None = None) -> Dataset:
        import torch

        from ecqx.seeding import generator

        listing = _folders.list_files(self.locate(root), SUFFIXES)
        shares = {"validation": self.validation, "test": self.test}
        splits = _folders.complete_splits(listing, shares, generator("image_folder", seed))
        parts = {
            name: (
                torch.stack([self._read(path) for path, _ in files]).float() / 255,
                torch.tensor([label for _, label in files]),
            )
            for name, files in splits.items()
        }
        return _images.standardised(self.name, listing.classes, parts)

    def _read(self, path: Path) -> Tensor:
        """uint8 (channels, image_size, image_size); ValueError naming the path."""
        import numpy as np
        import torch
        from PIL import Image, ImageOps

        try:
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image).convert(_MODES[self.channels])
        # a broken PNG is a SyntaxError
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path}: cannot be read as an image: {error}") from error
        size = (self.image_size, self.image_size)
        pixels = np.array(ImageOps.fit(upright, size, Image.Resampling.BILINEAR))
        return torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1)
