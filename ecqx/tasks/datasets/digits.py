"""Handwritten digits, 8x8 pixels, 17 grey levels: 1,797 real images that ship with scikit-learn.

Source: [alpaydin1998digits], its test part.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ecqx.seeding import generator
from ecqx.tasks.data import Dataset, Split
from ecqx.tasks.splitting import stratified_split

CLASSES = tuple("0123456789")


def images() -> tuple[Tensor, Tensor]:
    """All digits: float32 (1797, 1, 8, 8) in [0, 1], and their int64 labels (1797,)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.from_numpy(bunch.images).to(torch.float32).unsqueeze(1) / 16
    return x, torch.from_numpy(bunch.target).to(torch.int64)


def prepare(seed: int, root: Path | None = None) -> Dataset:
    """Stratified split of the images: 30 % training, 20 % validation, 50 % test.

    With more than these few training images a small network misses next to nothing, and with a
    smaller test split a single image would weigh more than differences between methods do.
    ``root`` is not used: the images come with scikit-learn.
    """
    x, y = images()
    train, validation, test = stratified_split(y, (0.3, 0.2, 0.5), generator("digits", seed))
    # one mean and deviation for all pixels keeps the background of an image uniform
    mean, deviation = x[train].mean(), x[train].std()
    x = (x - mean) / deviation
    return Dataset(
        name="digits",
        classes=CLASSES,
        train=Split(x[train], y[train]),
        validation=Split(x[validation], y[validation]),
        test=Split(x[test], y[test]),
    )
