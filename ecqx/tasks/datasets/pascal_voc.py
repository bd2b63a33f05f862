"""Pascal VOC 2012, segmented images: what of twenty classes is in them, and where.

Source: [everingham2010voc]. 2,913 images. Multi-label classification: an image has every class of
which its segmentation shows a pixel; the border around objects ("void") belongs to none. The
segmentation is the ground truth for localisation, class by class. The test split is the official
validation set, since the official test set has no public labels; a fifth of the 1,464 official
training images is set aside for validation.

Read from disk, as torchvision has it. Images are squeezed to 224x224 (bilinear, antialiased; class
maps by the nearest pixel) and standardised with ImageNet's statistics: 1.9 GB as float32 with the
maps, which jobs map into memory and share. A class of a few pixels can vanish from the map; the
image keeps it as a label.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from ecqx.seeding import generator
from ecqx.tasks.data import Dataset, Split
from ecqx.tasks.download import Archive
from ecqx.tasks.splitting import stratified_split

if TYPE_CHECKING:
    from PIL.Image import Image
    from torchvision.datasets import VOCSegmentation

ARCHIVE = Archive(
    url="https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
    digest="e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
    folder="VOCdevkit/VOC2012",
    content=(
        *("JPEGImages", "SegmentationClass"),
        *("ImageSets/Segmentation/train.txt", "ImageSets/Segmentation/val.txt"),
    ),
)
# in the order of the segmentations' values, which begin at 1
CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
SIDE = 224  # pixels
VALIDATION_SHARE = 0.2

# of ImageNet's training images, per channel, full scale 1: what published weights were trained on
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)

_VOID = 255  # value of pixels that belong to no class
_SMALLEST_CROP = 0.7  # of the side, of the augmentation


def missing(root: Path | None) -> str | None:
    """What to put where, in one line, if the data set is not in the folder ``root``."""
    return ARCHIVE.missing("pascal_voc", root)


def prepare(seed: int, root: Path | None = None) -> Dataset:
    """All segmented images: about 1,171 for training, 293 for validation, 1,449 for the test.

    Parameters
    ----------
    seed : int, decides which of the official training images are for validation; the share is the
        same among the images of each class, counted by the rarest class in an image.
    root : Path, the folder that holds the archive, or ``VOCdevkit/VOC2012`` as torchvision unpacks
        it.

    Raises
    ------
    FileNotFoundError : neither is there, or a listed file is not.
    OSError : the archive is damaged; it is named.
    ValueError : an image is listed twice, it or its segmentation cannot be read, they differ in
        size, or the segmentation holds a value that stands for no class; the file is named.
    """
    if reason := missing(root):
        raise FileNotFoundError(reason)
    from torchvision.datasets import VOCSegmentation

    ARCHIVE.unpacked(root)
    listed = [VOCSegmentation(str(root), year="2012", image_set=part) for part in ("train", "val")]
    _check_distinct(listed)
    official, test = map(_samples, listed)
    shares = (1 - VALIDATION_SHARE, VALIDATION_SHARE)
    rng = generator("pascal_voc", seed)
    train, validation = stratified_split(_rarest_class(official.y), shares, rng)
    return Dataset(
        name="pascal_voc",
        classes=CLASSES,
        train=Split(official.x[train], official.y[train], official.mask[train]),
        validation=Split(official.x[validation], official.y[validation], official.mask[validation]),
        test=test,
    )


def augment(x: Tensor, rng: torch.Generator) -> Tensor:
    """Cut a random window out of every image, enlarge it to the whole, and mirror every other one.

    Parameters
    ----------
    x : Tensor, shape (n, C, H, W)
    rng : torch.Generator

    Returns
    -------
    Tensor, shape (n, C, H, W)
        The windows keep the image's proportions and have 70 to 100 % of its sides.
    """
    n = len(x)
    side = _SMALLEST_CROP + (1 - _SMALLEST_CROP) * torch.rand(n, generator=rng)
    # center of the window in grid_sample's coordinates, which run from -1 to 1 over the image
    center = (1 - side) * (2 * torch.rand(2, n, generator=rng) - 1)
    direction = 1 - 2 * torch.randint(2, (n,), generator=rng)
    window = torch.zeros(n, 2, 3)
    window[:, 0, 0], window[:, 1, 1], window[:, :, 2] = direction * side, side, center.T
    grid = functional.affine_grid(window.to(x.device), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def _rarest_class(y: Tensor) -> Tensor:
    """For each sample that of its classes that the fewest samples have, int64 (n,)."""
    counts = y.sum(0).double()
    return torch.where(y, counts, torch.inf).argmin(dim=1)


def _check_distinct(datasets: Iterable[VOCSegmentation]) -> None:
    """ValueError naming an image that is in several of the lists, or several times in one."""
    seen = set()
    for path in chain.from_iterable(dataset.images for dataset in datasets):
        if path in seen:
            raise ValueError(f"{path}: is listed twice in train.txt and val.txt, expected once")
        seen.add(path)


def _samples(dataset: VOCSegmentation) -> Split:
    """All samples of one of torchvision's data sets."""
    n = len(dataset)
    x = torch.empty(n, 3, SIDE, SIDE)
    y = torch.zeros(n, len(CLASSES) + 1, dtype=torch.bool)
    mask = torch.empty(n, SIDE, SIDE, dtype=torch.uint8)
    for row, paths in enumerate(zip(dataset.images, dataset.masks, strict=True)):
        x[row], classes, mask[row] = _sample(*map(Path, paths))
        y[row, classes] = True
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
    return Split(x.div_(255).sub_(mean).div_(deviation), y[:, 1:], mask)


def _sample(image_path: Path, mask_path: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels (3, SIDE, SIDE) of 0 to 255, values of the segmentation, class map (SIDE, SIDE)."""
    import numpy as np
    from PIL import Image

    image, segmentation = _read(image_path).convert("RGB"), _read(mask_path)
    if segmentation.mode != "P":
        raise ValueError(f"{mask_path}: mode {segmentation.mode}, expected a palette image (P)")
    if segmentation.size != image.size:
        raise ValueError(
            f"{mask_path}: {segmentation.size} pixels, those of {image_path.name} are {image.size}"
        )
    values = np.unique(segmentation)
    classes = values[values != _VOID]
    if classes.max(initial=0) > len(CLASSES):
        raise ValueError(
            f"{mask_path}: holds the value {classes.max()}, expected 0 to {len(CLASSES)} or {_VOID}"
        )
    size = (SIDE, SIDE)
    pixels = np.array(image.resize(size, Image.Resampling.BILINEAR))
    class_map = np.array(segmentation.resize(size, Image.Resampling.NEAREST))
    class_map[class_map == _VOID] = 0
    return (
        torch.from_numpy(pixels).movedim(-1, 0),
        torch.from_numpy(classes.astype(np.int64)),
        torch.from_numpy(class_map),
    )


def _read(path: Path) -> Image:
    """The image in a file, decoded."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: is listed, but there is no such file") from None
    except (OSError, SyntaxError, ValueError) as error:
        cause = " ".join(str(error).split())
        raise ValueError(f"{path}: cannot be read as an image: {cause}") from error
