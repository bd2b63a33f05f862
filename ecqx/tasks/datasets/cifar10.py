"""CIFAR-10: 60,000 color images of 32x32 pixels in ten classes.

Source: [krizhevsky2009cifar]. The test split is the official one; a tenth of the 50,000 official
training images is set aside for validation.

Read from disk, as torchvision has it. The images are kept as float32 (0.7 GB), as all data are: the
prepared file is mapped into memory, and jobs share its pages.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ecqx.seeding import generator
from ecqx.tasks.augmentation import crop_and_flip
from ecqx.tasks.data import Dataset, Split
from ecqx.tasks.download import Archive, verify
from ecqx.tasks.splitting import stratified_split

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10

ARCHIVE = Archive(
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    digest="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    folder="cifar-10-batches-py",
    content=(*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"),
)
VALIDATION_SHARE = 0.1

# of the official training images, per channel, full scale 1
MEAN = (0.4914, 0.4822, 0.4465)
DEVIATION = (0.2470, 0.2435, 0.2616)

_PADDING = 4  # pixels, of the augmentation


def missing(root: Path | None) -> str | None:
    """What to put where, in one line, if the data set is not in the folder ``root``."""
    return ARCHIVE.missing("cifar10", root)


def prepare(seed: int, root: Path | None = None) -> Dataset:
    """All images: 45,000 for training, 5,000 for validation, 10,000 for the test.

    Parameters
    ----------
    seed : int, decides which of the official training images are for validation; the share is the
        same in every class.
    root : Path, the folder that holds the archive, or ``cifar-10-batches-py`` as torchvision
        unpacks it.

    Raises
    ------
    FileNotFoundError : neither is there.
    OSError : the archive or a file of the folder is damaged; it is named.
    """
    training, test = official(root)
    x, y = _images(training)
    shares = (1 - VALIDATION_SHARE, VALIDATION_SHARE)
    train, validation = stratified_split(y, shares, generator("cifar10", seed))
    return Dataset(
        name="cifar10",
        classes=tuple(training.classes),
        train=Split(x[train], y[train]),
        validation=Split(x[validation], y[validation]),
        test=Split(*_images(test)),
    )


def official(root: Path | None) -> tuple[CIFAR10, CIFAR10]:
    """The official training and test images, read as torchvision does it, verified file by file.

    Raises
    ------
    FileNotFoundError : neither the archive nor its folder is in ``root``.
    OSError : the archive or a file of the folder is damaged; it is named.
    """
    if reason := missing(root):
        raise FileNotFoundError(reason)
    from torchvision.datasets import CIFAR10

    folder = ARCHIVE.unpacked(root)
    description = (CIFAR10.meta["filename"], CIFAR10.meta["md5"])
    for name, md5 in (*CIFAR10.train_list, *CIFAR10.test_list, description):
        # torchvision only says that something is wrong
        verify(folder / name, ARCHIVE.url, md5)
    return CIFAR10(root, train=True), CIFAR10(root, train=False)


def augment(x: Tensor, rng: torch.Generator) -> Tensor:
    """Crop every image out of itself padded by 4 pixels, and mirror every other one."""
    return crop_and_flip(x, rng, _PADDING)


def _images(dataset: CIFAR10) -> tuple[Tensor, Tensor]:
    """Standardised images (n, 3, 32, 32) and labels of one of torchvision's data sets."""
    pixels = torch.from_numpy(dataset.data).movedim(-1, 1)
    x = pixels.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
    return x.sub_(mean).div_(deviation), torch.tensor(dataset.targets)
