"""Seeded, disjoint splits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def stratified_split(y: Tensor, shares: Sequence[float], rng: torch.Generator) -> list[Tensor]:
    """Disjoint random index sets that keep the shares of the classes.

    Parameters
    ----------
    y : int64 Tensor, shape (n,); labels.
    shares : sequence of float, share of every part, summing to 1.
    rng : torch.Generator

    Returns
    -------
    list of int64 Tensors
        One per share, each sorted; together they hold every index once. Within a class the sizes
        are the shares, rounded so that no part is off by a whole sample.

    Raises
    ------
    ValueError : a share is negative, or they do not sum to 1.
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


def grouped_split(
    y: Tensor, groups: Tensor, shares: Sequence[float], rng: torch.Generator
) -> list[Tensor]:
    """Disjoint random index sets that never share a group, stratified as well as groups allow.

    Parameters
    ----------
    y : int64 Tensor, shape (n,); labels.
    groups : int64 Tensor, shape (n,); samples of the same number (the clips of a speaker, say) stay
        together.
    shares : sequence of float, share of every part, of the groups as of the samples of each class;
        above 0, summing to 1.
    rng : torch.Generator

    Returns
    -------
    list of int64 Tensors
        One per share, each sorted; together they hold every index once. None is empty if there are
        at least as many groups as parts.

    Raises
    ------
    ValueError : a share is not above 0, or they do not sum to 1.

    Notes
    -----
    Greedy: groups in random order, the largest first, each to the part where it adds least to
    the chi-square distance of the parts' counts from their shares; the last groups to the parts
    that have none.
    """
    if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"shares are {tuple(shares)}, expected above 0 with sum 1")
    members = functional.one_hot(groups.unique(return_inverse=True)[1]).double()
    counts = members.T @ functional.one_hot(y.unique(return_inverse=True)[1]).double()
    # the groups are stratified like one more class
    counts = torch.cat([counts, torch.ones(len(counts), 1, dtype=torch.float64)], dim=1)
    expected = torch.tensor(shares, dtype=torch.float64)[:, None] * counts.sum(dim=0)
    filled = torch.zeros_like(expected)
    part_of = torch.zeros(len(counts), dtype=torch.int64)
    order = torch.randperm(len(counts), generator=rng)
    sizes = counts.sum(dim=1)[order]
    for position, group in enumerate(order[sizes.argsort(descending=True, stable=True)]):
        added = counts[group]
        cost = ((filled + added - expected).square() - (filled - expected).square()) / expected
        cost = cost.sum(dim=1)
        # the last column counts groups
        empty = filled[:, -1] == 0
        if len(counts) - position <= int(empty.sum()):
            cost[~empty] = torch.inf
        part_of[group] = cost.argmin()
        filled[part_of[group]] += added
    part_of_sample = part_of[members.argmax(dim=1)]
    return [(part_of_sample == part).nonzero().squeeze(1) for part in range(len(shares))]
