"""Entropy-constrained assignment in closed form.

The cost of level c for weight w is (w - w_c)^2 + lam * I_c. Two such costs differ by a function
that is linear in w, so the cheapest level as a function of w is piecewise constant with at most
2^b - 1 boundaries: the lower envelope of the lines  w_c^2 + lam I_c - 2 w w_c, a one-dimensional
power diagram. The boundaries are found once per tensor from the levels alone, and each weight
is then only located among them. No (weights x levels) cost table is ever built.

Source: the cost is that of ECQx [becking2021ecqx], eq. 4 to 6, and EC2T [marban2020ec2t]; the
envelope is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ecqx.compression.assignment import kernels
from ecqx.compression.assignment.grid import Grid

_FINE = 64  # bins per level
_SAME_PRICE = 1e-9  # bits: a difference that rounding alone may make
_SORTED_AT_ONCE = 1 << 24  # a sort takes some 25 bytes of memory per element


@dataclass(frozen=True)
class Bins:
    """Cells far finer than a grid, over twice its width; those at the ends take what lies beyond.

    Every level and every midpoint between two levels is the edge of a bin. So the bins tell how
    many weights are nearest to each level, and where a weight lies among other boundaries is
    decided by its bin alone, unless a boundary falls into that very bin.

    Attributes
    ----------
    first : float, where the first bin begins
    width : float > 0, of a bin
    number : int
    """

    first: float
    width: float
    number: int

    @classmethod
    def of(cls, grid: Grid) -> Bins:
        beyond = grid.n_levels // 2
        number = (grid.n_levels + 2 * beyond) * _FINE
        return cls((grid.low - beyond - 0.5) * grid.step, grid.step / _FINE, number)

    def place(self, values: Tensor) -> np.ndarray:
        """uint16, shape (n,): the bin of each value, shape (n,), on the CPU; NaN goes to the first.

        A monotone function, whatever the rounding.
        """
        array = values.numpy()
        real, index = array.dtype.type, np.empty(array.size, dtype=np.uint16)
        offset = real(self.first / self.width)
        kernels.place(array, real(1 / self.width), offset, real(self.number - 1), index)
        return index


@dataclass(frozen=True)
class Placed:
    """The weights of a tensor and where they lie on its grid.

    Attributes
    ----------
    weight : float Tensor, shape (n,)
    grid : Grid
    counts : int64 Tensor, shape (levels,): how many weights have each level as their nearest
    index : uint16 array, shape (n,): the bin of each weight; None but on the CPU
    """

    weight: Tensor
    grid: Grid
    counts: Tensor
    index: np.ndarray | None


def place(weight: Tensor, grid: Grid) -> Placed:
    """Place the weights of a tensor of any shape; see :class:`Placed`."""
    flat = weight.detach().flatten()
    if not kernels.serve(flat):
        nearest = (grid.nearest(flat) - grid.low).to(torch.uint8)
        return Placed(flat, grid, _counts(nearest, grid.n_levels), None)
    bins = Bins.of(grid)
    index = bins.place(flat)
    cells = kernels.count(index, bins.number).reshape(-1, _FINE).sum(axis=1)
    beyond = grid.n_levels // 2
    counts = cells[beyond : beyond + grid.n_levels].copy()
    counts[0] += cells[:beyond].sum()
    counts[-1] += cells[beyond + grid.n_levels :].sum()
    return Placed(flat, grid, torch.from_numpy(counts), index)


def _counts(numbers: Tensor, n: int) -> Tensor:
    """How often each of 0 ... n - 1 comes.

    On a GPU, scatter_add_ is a serial chain per number where it has to be deterministic, bincount
    waits for the host, and comparing with each number reads everything n times, into sums of int64.
    A sort of bytes is a single pass of a radix sort, some 30 bytes of traffic per element however
    large n is: as much as two or three comparisons.

    Parameters
    ----------
    numbers : uint8 Tensor, shape (m,)
    n : int, 2 to 256

    Returns
    -------
    int64 Tensor, shape (n,)
    """
    others = torch.arange(1, n, dtype=torch.uint8, device=numbers.device)
    lower = torch.zeros(n + 1, dtype=torch.int64, device=numbers.device)
    lower[n] = len(numbers)
    for part in numbers.split(_SORTED_AT_ONCE):
        lower[1:n] += torch.searchsorted(part.sort().values, others)
    return lower.diff()


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
        counts = torch.stack([placed.counts for placed in tensors]).to(torch.float64)
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


def boundaries(levels: Levels, strengths: Tensor) -> Tensor:
    """Where the cheapest level changes: the power diagram of each tensor's levels.

    Level c is the cheapest between its largest crossing with a lower level and its smallest
    crossing with a higher one. The crossings form a (levels x levels) table, independent of the
    number of weights; nothing is read back to the host.

    Parameters
    ----------
    strengths : Tensor >= 0, shape (tensors,)

    Returns
    -------
    float64 Tensor, shape (tensors, levels - 1), non-decreasing. A weight w belongs to the level
    whose index is the number of boundaries below w; a level that is nowhere the cheapest has its
    boundary coincide with its lower neighbour's, so that nothing is ever assigned to it.
    """
    values, n = levels.values, levels.values.shape[1]
    usable = levels.information.isfinite()
    height = values.square() + strengths[:, None] * torch.where(usable, levels.information, 0.0)
    crossing = (height[:, None, :] - height[:, :, None]) / (
        2 * (values[:, None, :] - values[:, :, None])
    )
    above = torch.ones(n, n, dtype=torch.bool, device=values.device).triu(1)  # [c, j]: j above c
    upper = torch.where(above & usable[:, None, :], crossing, torch.inf).amin(2)
    under = torch.where(above.T & usable[:, None, :], crossing, -torch.inf).amax(2)
    cheapest_somewhere = usable & (under < upper)
    return torch.where(cheapest_somewhere, upper, -torch.inf).cummax(1).values[:, :-1]


class Diagram:
    """The power diagram of one tensor's levels, ready to look weights up in.

    The same as ``torch.bucketize`` among the boundaries. On a CPU the branches of a binary search
    cannot be predicted; there, a weight starts from the number of boundaries below its bin, which
    decides for all weights in it unless a boundary falls into that very bin.

    Parameters
    ----------
    placed : the weights
    bounds : float64 Tensor, shape (k,), non-decreasing, without NaN; may hold infinities

    Attributes
    ----------
    bounds : float Tensor, shape (k + 1,), of the weights' precision, infinity at the end
    below : int32 array, shape (bins + 1,): boundaries below the beginning of a bin; None but on
        the CPU
    """

    def __init__(self, placed: Placed, bounds: Tensor) -> None:
        self.bounds = torch.nn.functional.pad(
            bounds.to(placed.weight.dtype), (0, 1), value=torch.inf
        )
        self.below = None
        if placed.index is None:
            return
        bins = Bins.of(placed.grid)
        # Bins of weights and boundaries come from the same monotone function.
        holder = bins.place(self.bounds[:-1]).astype(np.int64)
        rounded = self.bounds[:-1].numpy()
        holder[rounded == -np.inf], holder[rounded == np.inf] = -1, bins.number
        self.below = np.empty(bins.number + 1, dtype=np.int32)
        kernels.count_below(holder, self.below)


def assign(tensors: Sequence[Placed], levels: Levels, strengths: Tensor) -> list[Tensor]:
    """Cheapest level per weight: squared distance plus lam times code length.

    Parameters
    ----------
    tensors : placed weights, their levels in ``levels``
    strengths : Tensor >= 0, shape (tensors,), in units of squared weight per bit

    Returns
    -------
    list of int32 Tensor, each of shape (n,): codes in [grid.low, grid.high]; ties go to the lower
    level.
    """
    rows = boundaries(levels, strengths)
    return [
        _look_up(placed, Diagram(placed, row)) for placed, row in zip(tensors, rows, strict=True)
    ]


def _look_up(placed: Placed, diagram: Diagram) -> Tensor:
    if placed.index is None:
        position = torch.bucketize(placed.weight, diagram.bounds[:-1], out_int32=True)
        return position.add_(placed.grid.low)
    codes = torch.empty(len(placed.weight), dtype=torch.int32)
    kernels.look_up(
        placed.weight.numpy(),
        placed.index,
        diagram.below,
        diagram.bounds.numpy(),
        np.int32(placed.grid.low),
        codes.numpy(),
    )
    return codes


def tensor_scale(n_weights: int, n_largest: int) -> float:
    """s = (n / n_max + 0.05) / 1.05: tensors with few weights are constrained less.

    Source: ECQx [becking2021ecqx], section 5.
    """
    return (n_weights / n_largest + 0.05) / 1.05
