"""Digits at random places and scales on cluttered 32x32 canvases, and where the digit is.

Real digits (:mod:`ecqx.tasks.datasets.digits`), enlarged smoothly. The clutter is made of
fragments of other digits and of texture, so that strokes alone do not tell where to look: the
label is that of the one whole digit, the mask holds its pixels. After the cluttered MNIST of
[mnih2014attention].
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ecqx.seeding import generator
from ecqx.tasks.data import Dataset, Split
from ecqx.tasks.datasets import digits
from ecqx.tasks.splitting import stratified_split

SIDE = 32  # pixels
CLASSES = digits.CLASSES

_DIGIT_SIDE = (18.0, 25.0)  # pixels, range of the whole digit
_MASK_THRESHOLD = 0.3  # share of the brightest ink; pixels above it belong to the digit
_FRAGMENTS = 6  # per canvas
_FRAGMENT_EXTENT = (2, 5)  # source pixels of 8, inclusive: too few to make a whole digit
_FRAGMENT_INK = (0.4, 0.9)  # brightness range relative to the digit
_TEXTURE = 0.25  # brightness of the texture's peaks relative to the digit
_NOISE = 0.05  # standard deviation of the pixel noise relative to the digit

_FURTHEST_SHIFT = 2  # pixels, of the augmentation


def prepare(seed: int, root: Path | None = None) -> Dataset:
    """4,000 training, 1,000 validation and 1,000 test canvases from disjoint source digits.

    Both the whole digit and the fragments of a canvas come from the sources of its own split.
    ``root`` is not used: the digits come with scikit-learn.
    """
    return compose(seed, n_train=4000, n_validation=1000, n_test=1000)


def augment(x: Tensor, rng: torch.Generator) -> Tensor:
    """Shift every sample by up to 2 pixels in either direction, repeating its border.

    Parameters
    ----------
    x : Tensor, shape (n, 1, 32, 32)
    rng : torch.Generator
    """
    shift = torch.randint(-_FURTHEST_SHIFT, _FURTHEST_SHIFT + 1, (2, len(x), 1), generator=rng)
    row, column = (torch.arange(SIDE) - shift).clamp(0, SIDE - 1).to(x.device)
    sample = torch.arange(len(x), device=x.device)
    moved = x[sample[:, None, None], 0, row[:, :, None], column[:, None, :]]
    return moved.unsqueeze(1)


def compose(seed: int, n_train: int, n_validation: int, n_test: int) -> Dataset:
    """The data set in any size; see :func:`prepare`."""
    images, labels = digits.images()
    sources = split_sources(labels, seed)
    sizes = {"train": n_train, "validation": n_validation, "test": n_test}
    drawn = {
        name: render(images[index], labels[index], sizes[name], generator("canvas", name, seed))
        for name, index in zip(sizes, sources, strict=True)
    }
    mean, deviation = drawn["train"][0].mean(), drawn["train"][0].std()
    splits = {name: Split((x - mean) / deviation, y, mask) for name, (x, y, mask) in drawn.items()}
    return Dataset(name="cluttered_digits", classes=CLASSES, **splits)


def split_sources(labels: Tensor, seed: int) -> list[Tensor]:
    """Indices of the source digits of training (60 %), validation (20 %) and test (20 %)."""
    return stratified_split(labels, (0.6, 0.2, 0.2), generator("sources", seed))


def render(
    images: Tensor, labels: Tensor, n: int, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw ``n`` canvases from the given source digits, all of them used about equally often.

    Parameters
    ----------
    images : float32 Tensor, shape (n_sources, 1, 8, 8), ink in [0, 1]
    labels : int64 Tensor, shape (n_sources,)
    n : int
    rng : torch.Generator

    Returns
    -------
    x : float32 Tensor, shape (n, 1, 32, 32)
    y : int64 Tensor, shape (n,)
    mask : bool Tensor, shape (n, 32, 32)
        Pixels of the whole digit, from its own rendering before anything covers it.
    """
    rounds = -(-n // len(images))
    order = torch.cat([torch.randperm(len(images), generator=rng) for _ in range(rounds)])[:n]
    digit = _place_whole(images[order], rng)
    mask = digit[:, 0] > _MASK_THRESHOLD

    clutter = _texture(n, rng)
    for _ in range(_FRAGMENTS):
        source = images[torch.randint(len(images), (n,), generator=rng)]
        clutter = torch.maximum(clutter, _place_fragment(source, rng))
    noise = _NOISE * torch.randn(n, 1, SIDE, SIDE, generator=rng)
    return torch.maximum(digit, clutter) + noise, labels[order], mask


def _uniform(n: int, low: float, high: float, rng: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, generator=rng)


def _place(patch: Tensor, side: Tensor, center: Tensor) -> Tensor:
    """Enlarge square patches onto canvases, bicubic, black outside.

    Parameters
    ----------
    patch : Tensor, shape (n, 1, s, s)
    side : Tensor, shape (n,); side of the enlarged patch in canvas pixels.
    center : Tensor, shape (n, 2); its (column, row) center in canvas pixels.
    """
    n = len(patch)
    # grid_sample's coordinates run from -1 to 1 over canvas and patch alike
    zoom = SIDE / side
    offset = -zoom[:, None] * (2 * center / SIDE - 1)
    affine = torch.zeros(n, 2, 3)
    affine[:, 0, 0], affine[:, 1, 1], affine[:, :, 2] = zoom, zoom, offset
    grid = functional.affine_grid(affine, [n, 1, SIDE, SIDE], align_corners=False)
    canvas = functional.grid_sample(patch, grid, mode="bicubic", align_corners=False)
    return canvas.clamp(0, 1)  # bicubic interpolation overshoots


def _place_whole(patch: Tensor, rng: torch.Generator) -> Tensor:
    """Random scale, and a random place at which the digit lies inside the canvas."""
    # interpolation spreads ink by a source pixel, also that of the outermost ones
    padded = functional.pad(patch, (1, 1, 1, 1))
    side = _uniform(len(patch), *_DIGIT_SIDE, rng) * padded.shape[-1] / patch.shape[-1]
    free = torch.rand(len(patch), 2, generator=rng)
    center = side[:, None] / 2 + free * (SIDE - side)[:, None]
    return _place(padded, side, center)


def _place_fragment(patch: Tensor, rng: torch.Generator) -> Tensor:
    """Cut a random rectangle out of every patch and put it anywhere, whole or in part."""
    n, size = len(patch), patch.shape[-1]
    low, high = _FRAGMENT_EXTENT
    extent = torch.randint(low, high + 1, (n, 2), generator=rng)
    first = (torch.rand(n, 2, generator=rng) * (size + 1 - extent)).to(torch.int64)
    position = torch.arange(size)
    inside = (position >= first[..., None]) & (position < (first + extent)[..., None])
    window = inside[:, 0, None, :, None] & inside[:, 1, None, None, :]
    ink = _uniform(n, *_FRAGMENT_INK, rng)[:, None, None, None]
    side = _uniform(n, *_DIGIT_SIDE, rng)
    # the cut-out, not the patch around it, is what is placed on the canvas
    middle = (first + extent / 2).flip(1) / size - 0.5
    center = SIDE * torch.rand(n, 2, generator=rng) - middle * side[:, None]
    return _place(ink * patch * window, side, center)


def _texture(n: int, rng: torch.Generator) -> Tensor:
    """Soft waves of random direction and wavelength, with a random envelope; in [0, _TEXTURE]."""
    angle = _uniform(n, 0, torch.pi, rng)
    wavelength = _uniform(n, 3, 10, rng)  # pixels
    phase = _uniform(n, 0, 2 * torch.pi, rng)
    row, column = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    distance = (
        column * angle.cos()[:, None, None] + row * angle.sin()[:, None, None]
    ) / wavelength[:, None, None]
    wave = 0.5 + 0.5 * torch.sin(2 * torch.pi * distance + phase[:, None, None])
    coarse = torch.rand(n, 1, 4, 4, generator=rng)
    envelope = functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear")
    return _TEXTURE * envelope * wave[:, None]
