"""ECQx: the entropy-constrained assignment in which relevance prices the zero level.

The cost of zero is multiplied by rho * R^beta, with R in [0, 1] the relevance of the weight: what
is relevant becomes dear to zero out, what is irrelevant cheap.

Source: ECQx (arXiv 2109.04236), eq. 11; the closed form of beta is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ecqx.compression.assignment import assign, boundaries, locate
from ecqx.compression.grid import Grid

WINDOWS = ("below", "above")

_SAMPLE = 4096  # values that bracket an order statistic
_MARGIN = 200  # of them on either side: about six standard deviations of a rank


@dataclass(frozen=True)
class Window:
    """Sparsities that relevance may lead to, around the sparsity s that ECQ gives the tensor.

    Attributes
    ----------
    side : "below" for [s - p, s] (relevance regrows weights), "above" for [s, s + p]
    p : float in [0, 1], width as a share of the tensor's weights
    """

    side: str
    p: float

    def counts(self, ecq_zeros: int, n_weights: int) -> tuple[int, int]:
        """Smallest and largest admissible number of zeros."""
        width = self.p * n_weights
        if self.side == "below":
            return max(0, math.ceil(ecq_zeros - width)), ecq_zeros
        return ecq_zeros, min(n_weights, math.floor(ecq_zeros + width))


def assign_by_relevance(
    weight: Tensor,
    relevance: Tensor,
    grid: Grid,
    info: Tensor,
    lam: Tensor | float,
    *,
    window: Window,
    rho: float = 2.0,
) -> Tensor:
    """Cheapest level per weight, the zero level priced by relevance.

    beta starts from ln(1/rho) / ln(mean R), at which the mean relevance leaves the cost of zero
    unchanged, and is clipped to the interval that keeps the tensor's sparsity inside the window.
    A weight is zeroed exactly if beta > t = ln(c1 / (rho c0)) / ln R, with c0 its cost of zero and
    c1 that of its best other level; so the ends of the interval are two order statistics of t.

    Relevance that tells no two weights apart (constant, all zero), or that is not finite, cannot
    rank anything: the tensor then gets the ECQ assignment.

    Parameters
    ----------
    weight : float Tensor, shape (*shape,)
    relevance : float Tensor, shape (*shape,), signed or not; its magnitude counts
    grid, info, lam : as in :func:`ecqx.compression.assignment.assign`
    rho : float > 0, factor on the cost of zero at full relevance

    Returns
    -------
    int32 Tensor, shape (*shape,): codes in [grid.low, grid.high].
    """
    magnitude = relevance.abs()
    smallest, largest = magnitude.aminmax()
    if not bool(largest.isfinite() & (largest > smallest)):
        return assign(weight, grid, info, lam)
    costs = zeroing_costs(weight, grid, info, lam)
    if costs is None:  # no level but zero is in use
        return torch.zeros_like(weight, dtype=torch.int32)
    cost_zero, cost_other, best_other = costs
    bounds = boundaries(grid.levels(weight).to(torch.float64), info, lam).to(weight.dtype)
    under = bounds[grid.zero - 1] if grid.zero > 0 else -torch.inf
    upper = bounds[grid.zero] if grid.zero < grid.n_levels - 1 else torch.inf
    ecq_zeros = int(((weight > under) & (weight <= upper)).sum())
    zeros = window.counts(ecq_zeros, weight.numel())
    zeroed = zero_mask(magnitude.div_(largest), cost_zero, cost_other, zeros, rho)
    return best_other.mul_(zeroed.logical_not_())


def zeroing_costs(
    weight: Tensor, grid: Grid, info: Tensor, lam: Tensor | float
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Cost of zero, cost of the best other level, and that level's code, each of weight's shape.

    None if no level but zero is in use.
    """
    keep = torch.arange(grid.n_levels, device=info.device) != grid.zero
    others = info[keep]
    if not bool(others.isfinite().any()):
        return None
    levels = grid.levels(weight)
    index = locate(weight, boundaries(levels[keep].to(torch.float64), others, lam))
    price = (lam * info).to(weight.dtype)
    cost_other = price[keep].index_select(0, index.flatten()).view_as(weight)
    best = index.add_(grid.low)
    best += best >= 0  # the level left out is zero
    cost_other += (weight - best * grid.step).square_()
    cost_zero = weight.square().add_(price[grid.zero])
    return cost_zero, cost_other, best


def zero_mask(
    relative: Tensor, cost_zero: Tensor, cost_other: Tensor, zeros: tuple[int, int], rho: float
) -> Tensor:
    """Which weights become zero under the beta nearest to neutral that the window admits.

    Parameters
    ----------
    relative : Tensor, relevance over its maximum, in [0, 1], not constant; altered. Values are
        kept off 0 and 1 by one float: weights of no relevance then still differ by their costs,
        where the rule would zero them all at once.
    cost_zero, cost_other : Tensor, of the same shape
    zeros : smallest and largest admissible number of zeros
    rho : float > 0

    Returns
    -------
    bool Tensor, of the same shape. Its number of zeros is admissible, unless the window would need
    beta > 1 (then there are fewer), or weights alike in relevance and cost straddle its end (then
    all of these are zeroed).
    """
    fewest, most = zeros
    neutral = math.log(1 / rho) / math.log(float(relative.mean(dtype=torch.float64)))
    neutral = min(max(neutral, 0.0), 1.0)
    real = torch.finfo(relative.dtype)
    log_relevance = relative.clamp_(real.tiny, 1 - real.eps / 2).log_()
    threshold = (cost_other / cost_zero).div_(rho).log_().div_(log_relevance)
    mask = threshold < neutral
    count = int(mask.sum())
    if count > most:
        return threshold <= order_statistic(threshold.flatten(), most) if most else mask.zero_()
    if count < fewest:
        return threshold <= order_statistic(threshold.flatten(), fewest).clamp(max=1.0)
    return mask


def order_statistic(values: Tensor, k: int) -> Tensor:
    """The k-th smallest value, exactly; k counts from 1.

    A sorted sample brackets it, only what lies inside the bracket is selected from (after Floyd
    and Rivest 1975), which is several times faster than ``torch.kthvalue`` on many values.

    Parameters
    ----------
    values : Tensor, shape (n,), without NaN
    """
    n = values.numel()
    stride = n // _SAMPLE
    if stride < 2:
        return values.kthvalue(k).values
    sample = values[::stride].sort().values
    centre = (k - 1) // stride
    low = sample[max(0, centre - _MARGIN)]
    high = sample[min(len(sample) - 1, centre + _MARGIN)]
    inside = values[(values >= low) & (values <= high)]
    rank = k - int((values < low).sum())
    if 1 <= rank <= inside.numel():
        return inside.kthvalue(rank).values
    return values.kthvalue(k).values  # the sample was not representative
