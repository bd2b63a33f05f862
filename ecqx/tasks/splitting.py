"""Seeded, disjoint splits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def stratified_split(y: Tensor, shares: Sequence[float], rng: torch.Generator) -> list[Tensor]:
    """Disjoint random index sets that keep the shares of the classes.

    Parameters
    ----------
    y : int64 Tensor, shape (n,)
        Labels.
    shares : sequence of float
        Share of every part, summing to 1.
    rng : torch.Generator

    Returns
    -------
    list of int64 Tensors
        One per share, each sorted; together they hold every index once. Within a class the sizes
        are the shares, rounded so that no part is off by a whole sample.

    Raises
    ------
    ValueError: a share is negative, or they do not sum to 1.
    """
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"shares are {tuple(shares)}, expected non-negative with sum 1")
    bounds = torch.tensor(shares, dtype=torch.float64).cumsum(0)
    parts: list[list[Tensor]] = [[] for _ in shares]
    for label in y.unique():
        members = (y == label).nonzero().squeeze(1)
        members = members[torch.randperm(len(members), generator=rng)]
        cuts = (bounds[:-1] * len(members)).round().to(torch.int64).tolist()
        for part, piece in zip(parts, members.tensor_split(cuts), strict=True):
            part.append(piece)
    return [torch.cat(part).sort().values for part in parts]
