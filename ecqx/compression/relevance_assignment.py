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
    plain = assign(weight, grid, info, lam)
    magnitude = relevance.abs()
    smallest, largest = magnitude.aminmax()
    if not bool(largest.isfinite() & (largest > smallest)):
        return plain
    relative = magnitude / largest
    cost = zeroing_costs(weight, grid, info, lam)
    if cost is None:  # no level but zero is in use
        return plain
    cost_zero, cost_other, best_other = cost
    zeros = window.counts(int((plain == 0).sum()), plain.numel())
    zeroed = zero_mask(relative, cost_zero, cost_other, zeros, rho)
    return torch.where(zeroed, 0, best_other)


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
    index = locate(weight, boundaries(levels[keep].to(torch.float64), others, lam)).to(torch.int32)
    price = (lam * info).to(weight.dtype)
    best = index + grid.low
    best += best >= 0  # the level left out is zero
    other_levels, other_price = levels[keep], price[keep].nan_to_num(posinf=0.0)
    flat = index.flatten()
    distance = weight.flatten() - other_levels.index_select(0, flat)
    cost_other = distance.square_().add_(other_price.index_select(0, flat)).view_as(weight)
    cost_zero = weight.square() + price[grid.zero]
    return cost_zero, cost_other, best


def zero_mask(
    relative: Tensor, cost_zero: Tensor, cost_other: Tensor, zeros: tuple[int, int], rho: float
) -> Tensor:
    """Which weights become zero under the beta nearest to neutral that the window admits.

    Parameters
    ----------
    relative : Tensor, relevance over its maximum, in [0, 1], not constant
    cost_zero, cost_other : Tensor, of the same shape
    zeros : smallest and largest admissible number of zeros
    rho : float > 0

    Returns
    -------
    bool Tensor, of the same shape. Its number of zeros is admissible, unless the window would need
    beta > 1 (then there are fewer) or ties in relevance and cost straddle its upper end (then
    none of the tied weights is zeroed).
    """
    fewest, most = zeros
    neutral = math.log(1 / rho) / math.log(float(relative.mean(dtype=torch.float64)))
    neutral = min(max(neutral, 0.0), 1.0)
    mask = rho * relative.pow(neutral) * cost_zero < cost_other
    count = int(mask.sum())
    if fewest <= count <= most:
        return mask
    threshold = (cost_other / (rho * cost_zero)).log_() / relative.log()
    # Full relevance makes the cost independent of beta: zeroed always or never.
    always = rho * cost_zero < cost_other
    threshold = torch.where(relative == 1, torch.where(always, -torch.inf, torch.inf), threshold)
    threshold = threshold.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
    flat = threshold.flatten()
    if count > most:
        return threshold < flat.kthvalue(most + 1).values
    cut = flat.kthvalue(fewest).values
    if bool(cut >= 1):
        return threshold < 1
    mask = threshold <= cut
    return mask if int(mask.sum()) <= most else threshold < cut
