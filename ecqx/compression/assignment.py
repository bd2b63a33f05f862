"""Entropy-constrained assignment in closed form.

The cost of level c for weight w is (w - w_c)^2 + lam * I_c. Two such costs differ by a function
that is linear in w, so the cheapest level as a function of w is piecewise constant with at most
2^b - 1 boundaries: the lower envelope of the lines  w_c^2 + lam I_c - 2 w w_c, a one-dimensional
power diagram. The boundaries are found once per tensor from the levels alone, and each weight
is then only located among them. No (weights x levels) cost table is ever built.

Source: cost of ECQ, Becking et al., ECQx (arXiv 2109.04236), eq. 4 to 6, and Marban et al., EC2T
(CVPRW 2020); the envelope is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ecqx.compression.grid import Grid

_BINS = 4096  # of the table in locate; its two columns stay in the first-level cache
_BLOCK = 65_536  # weights handled at a time, so that intermediate results stay in cache
_SMALL = 20_000  # weights below which building that table costs more than it saves


def information(weight: Tensor, grid: Grid) -> Tensor:
    """Code length of each level in bits, I_c = -log2 P_c.

    P_c is the share of weights whose nearest level is c. The zero level's share is raised to at
    least one half, the others scaled down in proportion, so that zero is never dearer than
    another level. A level that no weight is nearest to costs infinity.

    Returns
    -------
    float64 Tensor, shape (grid.n_levels,)
    """
    index = (grid.nearest(weight) - grid.low).flatten()
    share = torch.bincount(index, minlength=grid.n_levels).to(torch.float64) / index.numel()
    zero = share[grid.zero]
    floored = torch.where(
        zero < 0.5, share * (0.5 / (1 - zero).clamp(min=torch.finfo(torch.float64).tiny)), share
    )
    floored[grid.zero] = zero.clamp(min=0.5)
    return -torch.log2(floored)


def lambda_max(weight: Tensor, grid: Grid, info: Tensor) -> Tensor:
    """The smallest lam at which every weight of the tensor is assigned to zero.

    Level c loses to zero for weight w once lam >= (2 w w_c - w_c^2) / (I_c - I_0); over all
    weights that is largest at the extreme weight of the sign of w_c, so two numbers of the tensor
    are enough.

    Returns
    -------
    float64 scalar Tensor >= 0. Levels that cost no more bits than zero cannot be beaten by any
    lam and are left out (only possible when zero and one other level share all weights equally).
    """
    low, high = weight.detach().aminmax()
    levels = grid.levels(weight).to(torch.float64)
    extreme = torch.where(levels > 0, high, low).to(torch.float64)
    gain = 2 * extreme * levels - levels.square()
    price = info - info[grid.zero]
    bound = torch.where((gain > 0) & (price > 0), gain / price, torch.zeros_like(gain))
    return bound.max()


def boundaries(levels: Tensor, info: Tensor, lam: Tensor | float) -> Tensor:
    """Where the cheapest level changes: the power diagram of the levels.

    Level c is the cheapest between its largest crossing with a lower level and its smallest
    crossing with a higher one. The crossings form a (levels x levels) table, independent of the
    number of weights; nothing is read back to the host.

    Parameters
    ----------
    levels : float64 Tensor, shape (n_levels,), strictly increasing
    info : float64 Tensor, shape (n_levels,); infinity marks a level that is never used
    lam : float >= 0, or a scalar Tensor

    Returns
    -------
    float64 Tensor, shape (n_levels - 1,), non-decreasing. A weight w belongs to the level whose
    index is the number of boundaries below w; a level that is nowhere the cheapest has its
    boundary coincide with its lower neighbour's, so that nothing is ever assigned to it.
    """
    n = levels.numel()
    usable = info.isfinite()
    height = levels.square() + lam * torch.where(usable, info, 0.0)
    crossing = (height[None, :] - height[:, None]) / (2 * (levels[None, :] - levels[:, None]))
    index = torch.arange(n, device=levels.device)
    higher = (index[None, :] > index[:, None]) & usable[None, :]  # [c, j]: j above c
    lower = (index[None, :] < index[:, None]) & usable[None, :]
    upper = torch.where(higher, crossing, torch.inf).amin(1)
    under = torch.where(lower, crossing, -torch.inf).amax(1)
    cheapest_somewhere = usable & (under < upper)
    return torch.where(cheapest_somewhere, upper, -torch.inf).cummax(0).values[:-1]


def locate(weight: Tensor, bounds: Tensor) -> Tensor:
    """How many of the sorted boundaries lie strictly below each weight.

    The same as ``torch.bucketize``, for few boundaries and many weights. On a CPU the branches of
    a binary search cannot be predicted, so a table of fine equal bins stands in for it: every
    weight is put into its bin by arithmetic, and a bin holds at most one boundary to compare
    with. The bin is a monotone function of the weight, computed alike for weights and boundaries;
    therefore the result is exact whatever the rounding.

    Parameters
    ----------
    weight : float Tensor, any shape
    bounds : Tensor, shape (k,), non-decreasing, without NaN; may hold infinities

    Returns
    -------
    int32 Tensor, shape of ``weight``. Weights that are not finite get any number from 0 to k.
    """
    bounds = bounds.to(weight.dtype)
    if weight.is_cuda or weight.numel() < _SMALL:
        return torch.bucketize(weight, bounds, out_int32=True)
    finite = bounds[bounds.isfinite()].unique()
    extremes = weight.aminmax()
    if len(finite) < 2 or not bool(extremes.min.isfinite() & extremes.max.isfinite()):
        return torch.bucketize(weight, bounds, out_int32=True)
    scale = (_BINS - 2) / (finite[-1] - finite[0])
    start = finite[0] - 1 / scale

    def bin_of(values: Tensor) -> Tensor:
        # Subtraction and product stay apart: fused, they would round differently in different
        # lanes of a vector, and bins would not be monotone.
        return values.sub(start).mul_(scale).clamp_(0, _BINS - 1).int()

    holder = bin_of(finite)
    if not bool(scale.isfinite()) or bool((holder[1:] == holder[:-1]).any()):
        return torch.bucketize(weight, bounds, out_int32=True)
    inside = torch.full((_BINS,), torch.inf, dtype=weight.dtype)
    inside[holder] = finite
    # below[i]: boundaries under bin i; a weight above the boundary inside its bin takes the next.
    starts = bin_of(bounds)
    starts[bounds == -torch.inf] = -1
    starts[bounds == torch.inf] = _BINS
    below = torch.bucketize(torch.arange(_BINS + 1, dtype=torch.int32), starts, out_int32=True)
    result = torch.empty(weight.numel(), dtype=torch.int32)
    blocks = zip(weight.flatten().split(_BLOCK), result.split(_BLOCK), strict=True)
    for block, out in blocks:
        index = bin_of(block)
        index += block > inside.index_select(0, index)
        torch.index_select(below, 0, index, out=out)
    return result.view_as(weight)


def assign(weight: Tensor, grid: Grid, info: Tensor, lam: Tensor | float) -> Tensor:
    """Cheapest level per weight: squared distance plus lam times code length.

    Parameters
    ----------
    weight : float Tensor, shape (*shape,)
    grid : Grid
    info : float64 Tensor, shape (grid.n_levels,), from :func:`information`
    lam : float >= 0, or a scalar Tensor, in units of squared weight per bit

    Returns
    -------
    int32 Tensor, shape (*shape,): codes in [grid.low, grid.high]; ties go to the lower level.
    """
    bounds = boundaries(grid.levels(weight).to(torch.float64), info, lam)
    return locate(weight, bounds).add_(grid.low)


def tensor_scale(n_weights: int, n_largest: int) -> float:
    """s = (n / n_max + 0.05) / 1.05: tensors with few weights are constrained less.

    Source: ECQx (arXiv 2109.04236), section 5.
    """
    return (n_weights / n_largest + 0.05) / 1.05
