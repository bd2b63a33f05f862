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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ecqx.compression.grid import Grid

_FINE = 64  # bins per level
_SAME_PRICE = 1e-9  # bits: a difference that rounding alone may make
_BLOCK = 65_536  # weights handled at a time, so that intermediate results stay in cache


@dataclass(frozen=True)
class Placed:
    """The weights of a tensor, sorted into bins far finer than its grid.

    The bins cover twice the width of the grid, those at the ends take what lies beyond; every
    midpoint between two levels is the edge of a bin. So the bins give the number of weights
    nearest to each level, and where a weight lies among other boundaries is decided by its bin
    alone, unless a boundary falls into that very bin.

    Attributes
    ----------
    weight : float Tensor, shape (n,)
    grid : Grid
    index : int32 Tensor, shape (n,): the bin of each weight
    """

    weight: Tensor
    grid: Grid
    index: Tensor


def place(weight: Tensor, grid: Grid) -> Placed:
    """Sort the weights of a tensor of any shape into bins; see :class:`Placed`."""
    flat = weight.detach().flatten()
    index = torch.empty(flat.numel(), dtype=torch.int32, device=flat.device)
    for block, out in blocks(flat, index):
        _bin_of(block, grid, out)
    return Placed(flat, grid, index)


def blocks(*flat: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same pieces of several flat tensors, small enough for the cache; whole on CUDA."""
    size = max(1, flat[0].numel()) if flat[0].is_cuda else _BLOCK
    return zip(*(tensor.split(size) for tensor in flat), strict=True)


def _n_bins(grid: Grid) -> int:
    return (grid.n_levels + 2 * (grid.n_levels // 2)) * _FINE


def _bin_of(values: Tensor, grid: Grid, out: Tensor | None = None) -> Tensor:
    """The bin of each value, int32: a monotone function, whatever the rounding.

    Product and sum stay apart: fused, they could round differently in different lanes of a
    vector, and the same function of a weight and of a boundary would not be monotone.
    """
    first = grid.low - grid.n_levels // 2 - 0.5
    bins = values.mul(_FINE / grid.step).sub_(first * _FINE)
    bins.clamp_(0, _n_bins(grid) - 1).nan_to_num_(nan=0.0)
    return bins.int() if out is None else out.copy_(bins)


@dataclass(frozen=True)
class Levels:
    """The levels of several tensors of one method and what choosing them costs, side by side.

    What has to be computed per level is little, but would be a launch of many tiny operations per
    tensor and training step; here it is one for all tensors.

    Attributes
    ----------
    values : float64 Tensor, shape (tensors, levels), increasing
    zero : int64 Tensor, shape (tensors, 1): the place of the zero level
    information : float64 Tensor, shape (tensors, levels): code lengths in bits, I_c = -log2 P_c
    """

    values: Tensor
    zero: Tensor
    information: Tensor

    @classmethod
    def of(cls, tensors: Sequence[Placed]) -> Levels:
        """Levels and code lengths of placed weights; all grids have equally many levels.

        P_c is the share of weights whose nearest level is c. The zero level's share is raised to
        at least one half, the others scaled down in proportion, so that zero is never dearer
        than another level. A level that no weight is nearest to costs infinity.
        """
        device = tensors[0].weight.device
        low = torch.tensor([placed.grid.low for placed in tensors])[:, None].to(device)
        step = torch.tensor([placed.grid.step for placed in tensors], dtype=torch.float64)
        n_levels = tensors[0].grid.n_levels
        codes = low + torch.arange(n_levels, device=device)
        values = codes * step[:, None].to(device)
        counts = torch.stack([count_nearest(placed) for placed in tensors]).to(torch.float64)
        share = counts / counts.sum(1, keepdim=True)
        zero = share.gather(1, -low)
        rest = (1 - zero).clamp(min=torch.finfo(torch.float64).tiny)
        floored = torch.where(zero < 0.5, share * (0.5 / rest), share)
        floored.scatter_(1, -low, zero.clamp(min=0.5))
        return cls(values, -low, -torch.log2(floored))

    def without_zero(self) -> Levels:
        """The same with the zero level out of use."""
        information = self.information.scatter(1, self.zero, torch.inf)
        return Levels(self.values, self.zero, information)


def count_nearest(placed: Placed) -> Tensor:
    """int64 Tensor, shape (levels,): how many weights have each level as their nearest."""
    n_levels, n_bins = placed.grid.n_levels, _n_bins(placed.grid)
    if placed.index.is_cuda:  # bincount would wait for the device
        ones = torch.ones_like(placed.index, dtype=torch.int64)
        bins = ones.new_zeros(n_bins).scatter_add_(0, placed.index.long(), ones)
    else:
        bins = torch.bincount(placed.index, minlength=n_bins)
    cells = bins.view(-1, _FINE).sum(1)
    beyond = n_levels // 2
    counts = cells[beyond : beyond + n_levels].clone()
    counts[0] += cells[:beyond].sum()
    counts[-1] += cells[beyond + n_levels :].sum()
    return counts


def lambda_max(tensors: Sequence[Placed], levels: Levels) -> Tensor:
    """The smallest lam at which every weight of a tensor is assigned to zero.

    Level c loses to zero for weight w once lam >= (2 w w_c - w_c^2) / (I_c - I_0); over all
    weights that is largest at the extreme weight of the sign of w_c, so two numbers of the tensor
    are enough.

    Returns
    -------
    float64 Tensor >= 0, shape (tensors,). Levels that cost no more bits than zero cannot be
    beaten by any lam and are left out (only possible when zero and one other level share all
    weights, zero with half of them or less).
    """
    extremes = [placed.weight.aminmax() for placed in tensors]
    low = torch.stack([e.min for e in extremes]).to(torch.float64)[:, None]
    high = torch.stack([e.max for e in extremes]).to(torch.float64)[:, None]
    gain = 2 * torch.where(levels.values > 0, high, low) * levels.values - levels.values.square()
    price = levels.information - levels.information.gather(1, levels.zero)
    return torch.where((gain > 0) & (price > _SAME_PRICE), gain / price, 0.0).amax(1)


def boundaries(levels: Levels, lam: Tensor) -> Tensor:
    """Where the cheapest level changes: the power diagram of each tensor's levels.

    Level c is the cheapest between its largest crossing with a lower level and its smallest
    crossing with a higher one. The crossings form a (levels x levels) table, independent of the
    number of weights; nothing is read back to the host.

    Parameters
    ----------
    lam : Tensor >= 0, shape (tensors,)

    Returns
    -------
    float64 Tensor, shape (tensors, levels - 1), non-decreasing. A weight w belongs to the level
    whose index is the number of boundaries below w; a level that is nowhere the cheapest has its
    boundary coincide with its lower neighbour's, so that nothing is ever assigned to it.
    """
    values, n = levels.values, levels.values.shape[1]
    usable = levels.information.isfinite()
    height = values.square() + lam[:, None] * torch.where(usable, levels.information, 0.0)
    crossing = (height[:, None, :] - height[:, :, None]) / (
        2 * (values[:, None, :] - values[:, :, None])
    )
    above = torch.ones(n, n, dtype=torch.bool, device=values.device).triu(1)  # [c, j]: j above c
    upper = torch.where(above & usable[:, None, :], crossing, torch.inf).amin(2)
    under = torch.where(above.T & usable[:, None, :], crossing, -torch.inf).amax(2)
    cheapest_somewhere = usable & (under < upper)
    return torch.where(cheapest_somewhere, upper, -torch.inf).cummax(1).values[:, :-1]


class Tables:
    """Where the weights of each tensor lie among the sorted boundaries of its power diagram.

    The same as ``torch.bucketize``, for few boundaries and many weights. On a CPU the branches of
    a binary search cannot be predicted, so the bins of :class:`Placed` stand in for it: a bin
    without a boundary decides by itself, one with a boundary by one comparison. Bins of weights
    and boundaries come from the same monotone function, so the result is exact.

    Parameters
    ----------
    tensors : placed weights; their grids have equally many levels
    bounds : float64 Tensor, shape (tensors, k), non-decreasing, without NaN; may hold infinities
    """

    def __init__(self, tensors: Sequence[Placed], bounds: Tensor) -> None:
        self.bounds = [row.to(p.weight.dtype) for row, p in zip(bounds, tensors, strict=True)]
        self.binned = [False] * len(tensors)
        if bounds.is_cuda:
            return
        n_bins = _n_bins(tensors[0].grid)
        rounded = torch.stack(self.bounds)
        holder = torch.stack(
            [_bin_of(row, p.grid) for row, p in zip(self.bounds, tensors, strict=True)]
        )
        # -1 and n_bins: boundaries below and above every weight
        holder.masked_fill_(rounded == -torch.inf, -1).masked_fill_(rounded == torch.inf, n_bins)
        within = (holder >= 0) & (holder < n_bins)
        distinct = rounded[:, 1:] != rounded[:, :-1]
        shared = (holder[:, 1:] == holder[:, :-1]) & distinct & within[:, 1:]
        self.binned = (~shared.any(1)).tolist()
        # The column behind the last bin takes what lies in none.
        inside = rounded.new_full((len(tensors), n_bins + 1), torch.inf)
        self.inside = inside.scatter_(1, torch.where(within, holder, n_bins).long(), rounded)
        self.inside[:, n_bins] = torch.inf
        # below[i]: boundaries under bin i; a weight above the one inside its bin takes the next.
        bins = torch.arange(n_bins + 1, dtype=torch.int32).expand(len(tensors), -1).contiguous()
        self.below = torch.searchsorted(holder, bins, out_int32=True)

    def position(self, tensor: int, weight: Tensor, index: Tensor) -> Tensor:
        """Where to look up each of some weights in a :meth:`spread` table; int32, shape (n,)."""
        if not self.binned[tensor]:
            return torch.bucketize(weight, self.bounds[tensor], out_int32=True)
        # As integers: comparisons that give booleans take half as long again.
        above = torch.gt(
            weight, self.inside[tensor].index_select(0, index), out=torch.empty_like(index)
        )
        return above.add_(index)

    def spread(self, tensor: int, values: Tensor) -> Tensor:
        """``values`` per number of boundaries below, shape (k + 1,), as a look-up table."""
        return values.index_select(0, self.below[tensor]) if self.binned[tensor] else values


def assign(tensors: Sequence[Placed], levels: Levels, lam: Tensor) -> list[Tensor]:
    """Cheapest level per weight: squared distance plus lam times code length.

    Parameters
    ----------
    tensors : placed weights, their levels in ``levels``
    lam : Tensor >= 0, shape (tensors,), in units of squared weight per bit

    Returns
    -------
    list of int32 Tensor, each of shape (n,): codes in [grid.low, grid.high]; ties go to the lower
    level.
    """
    tables = Tables(tensors, boundaries(levels, lam))
    result = []
    for t, placed in enumerate(tensors):
        codes = tables.spread(t, placed.grid.codes(placed.weight.device))
        found = torch.empty_like(placed.index)
        for weight, index, out in blocks(placed.weight, placed.index, found):
            torch.index_select(codes, 0, tables.position(t, weight, index), out=out)
        result.append(found)
    return result


def tensor_scale(n_weights: int, n_largest: int) -> float:
    """s = (n / n_max + 0.05) / 1.05: tensors with few weights are constrained less.

    Source: ECQx (arXiv 2109.04236), section 5.
    """
    return (n_weights / n_largest + 0.05) / 1.05
