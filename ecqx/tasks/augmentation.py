"""Random variations of batches of images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def crop_and_flip(x: Tensor, rng: torch.Generator, padding: int) -> Tensor:
    """Cut every image out of itself padded with zeros, at a random place, and mirror every other.

    Source: [he2016resnet], section 4.2 (padding 4 for 32x32 pixels). Zero is the mean of
    standardised images.

    Parameters
    ----------
    x : Tensor, shape (n, C, H, W); left untouched.
    rng : torch.Generator
    padding : int, at least 0; pixels on every side, and so the furthest shift in either direction.

    Returns
    -------
    Tensor, shape (n, C, H, W)

    Raises
    ------
    ValueError : padding negative.
    """
    if padding < 0:
        raise ValueError(f"padding is {padding}, expected at least 0")
    n, _, height, width = x.shape
    top, left = torch.randint(2 * padding + 1, (2, n, 1), generator=rng)
    mirrored = torch.rand(n, 1, generator=rng) < 0.5
    row = top + torch.arange(height)
    column = left + torch.where(mirrored, torch.arange(width).flip(0), torch.arange(width))
    row, column = row.to(x.device), column.to(x.device)
    sample = torch.arange(n, device=x.device)[:, None, None]
    padded = functional.pad(x, (padding,) * 4)
    # indices on both sides of the slice put the channels last
    return padded[sample, :, row[:, :, None], column[:, None, :]].movedim(-1, 1).contiguous()
