"""A few small pictures in the folders and file formats of Pascal VOC 2012."""

from pathlib import Path

import numpy as np
from PIL import Image

# values in a segmentation and the color of the rectangle that stands for the class
COLORS = {1: (230, 40, 40), 7: (40, 200, 40), 15: (50, 60, 230), 20: (220, 210, 40)}
VOID = 255


def palette():
    """VOC's: the bits of a value spread over the three channels, from the highest downwards."""
    colors = np.zeros((256, 3), dtype=np.uint8)
    for value in range(256):
        for bit in range(8):
            colors[value, bit % 3] |= ((value >> bit) & 1) << (7 - bit // 3)
    return colors.flatten().tolist()


def scene(rng: np.random.Generator):
    """A picture with one to three rectangles on noise, and its segmentation with void borders."""
    height, width = int(rng.integers(60, 80)), int(rng.integers(70, 100))
    picture = rng.integers(90, 130, (height, width, 3)).astype(np.uint8)
    segmentation = np.zeros((height, width), dtype=np.uint8)
    for value in rng.permutation(list(COLORS))[: rng.integers(1, 4)]:
        side = rng.integers(20, 34, 2)
        top, left = (
            int(rng.integers(0, n - s)) for n, s in zip((height, width), side, strict=True)
        )
        place = np.s_[top : top + side[0], left : left + side[1]]
        picture[place] = COLORS[value]
        segmentation[place] = VOID
        segmentation[top + 1 : top + side[0] - 1, left + 1 : left + side[1] - 1] = value
    return picture, segmentation


def write_tree(root: Path, n_train: int, n_val: int, seed: int = 0) -> Path:
    """Write the tree; the folder VOC2012 in it."""
    folder = root / "VOCdevkit" / "VOC2012"
    for part in ("JPEGImages", "SegmentationClass", "Annotations", "ImageSets/Segmentation"):
        (folder / part).mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for name, n in (("train", n_train), ("val", n_val)):
        stems = [f"2007_{name}{number:03d}" for number in range(n)]
        for stem in stems:
            picture, segmentation = scene(rng)
            Image.fromarray(picture).save(folder / "JPEGImages" / f"{stem}.jpg", quality=90)
            drawn = Image.fromarray(segmentation)
            drawn.putpalette(palette())
            drawn.save(folder / "SegmentationClass" / f"{stem}.png")
        (folder / f"ImageSets/Segmentation/{name}.txt").write_text("\n".join(stems) + "\n")
    return folder
