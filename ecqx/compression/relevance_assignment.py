"""ECQx: the entropy-constrained assignment in which relevance prices the zero level.

The cost of zero is multiplied by rho * R^beta, with R in [0, 1] the relevance of the weight: what
is relevant becomes dear to zero out, what is irrelevant cheap.

Source: ECQx (arXiv 2109.04236), eq. 11; the closed form of beta is ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ecqx.compression.assignment import (
    Levels,
    Placed,
    Tables,
    assign,
    blocks,
    boundaries,
)

WINDOWS = ("below", "above")

_SAMPLE = 2048  # values that bracket an order statistic
_MARGIN = 140  # of them on either side: six standard deviations of a rank


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


@dataclass(frozen=True)
class Ranking:
    """The relevance of a tensor's weights, ready to be compared with their costs.

    Attributes
    ----------
    log_relevance : float Tensor, shape (n,): ln R of R = |relevance| / max |relevance|, with R
        kept off 0 and 1 by one float. Weights of no relevance then still differ by their costs,
        where the rule would zero them all at once.
    log_mean : ln of the mean of R
    """

    log_relevance: Tensor
    log_mean: float


def rank(relevance: Tensor) -> Ranking | None:
    """Prepare relevance, signed or not, for the assignment; its magnitude counts.

    None for relevance that tells no two weights apart (constant, all zero), or that is not finite:
    it cannot rank anything.
    """
    magnitude = relevance.detach().abs().flatten()
    smallest, largest = magnitude.aminmax()
    if not bool(largest.isfinite() & (largest > smallest)):
        return None
    relative = magnitude.div_(largest)
    log_mean = math.log(float(relative.mean(dtype=torch.float64)))
    real = torch.finfo(relative.dtype)
    return Ranking(relative.clamp_(real.tiny, 1 - real.eps / 2).log_(), log_mean)


def assign_by_relevance(
    tensors: Sequence[Placed],
    rankings: Sequence[Ranking | None],
    levels: Levels,
    lam: Tensor,
    *,
    window: Window,
    rho: float = 2.0,
) -> list[Tensor]:
    """Cheapest level per weight, the zero level priced by relevance.

    beta starts from ln(1/rho) / ln(mean R), at which the mean relevance leaves the cost of zero
    unchanged, and is clipped to the interval that keeps the tensor's sparsity inside the window.
    A weight is zeroed exactly if beta > t = ln(c1 / (rho c0)) / ln R, with c0 its cost of zero and
    c1 that of its best other level; so the ends of the interval are two order statistics of t.

    Parameters
    ----------
    tensors, levels, lam : as in :func:`ecqx.compression.assignment.assign`
    rankings : from :func:`rank`, one per tensor; None gives the tensor its ECQ assignment
    rho : float > 0, factor on the cost of zero at full relevance

    Returns
    -------
    list of int32 Tensor, each of shape (n,): codes in [grid.low, grid.high]. A tensor's number of
    zeros is admissible, unless the window would need beta > 1 (then there are fewer), or weights
    alike in relevance and cost straddle its end (then all of these are zeroed).
    """
    if any(ranking is None for ranking in rankings):
        plain = assign(tensors, levels, lam)
    others = levels.without_zero()
    tables = Tables(tensors, boundaries(others, lam))
    price = lam[:, None] * levels.information
    some_other = others.information.isfinite().any(1).tolist()
    zero_cell = _zero_cell(boundaries(levels, lam), levels.zero)
    result = []
    for t, (placed, ranking) in enumerate(zip(tensors, rankings, strict=True)):
        if ranking is None:
            result.append(plain[t])
            continue
        if not some_other[t]:
            result.append(torch.zeros_like(placed.index))
            continue
        threshold, code = _thresholds(t, placed, ranking, tables, price[t], rho)
        under, upper = zero_cell[t].to(placed.weight.dtype)
        ecq_zeros = _count(placed.weight <= upper) - _count(placed.weight <= under)
        fewest, most = window.counts(ecq_zeros, len(threshold))
        neutral = min(max(math.log(1 / rho) / ranking.log_mean, 0.0), 1.0)
        last = neutral  # the largest threshold that becomes zero
        zeros = _count(threshold <= last)
        if zeros > most:
            last = order_statistic(threshold, most) if most else -math.inf
        elif zeros < fewest:
            last = order_statistic(threshold, fewest).clamp(max=1.0)
        kept = torch.empty_like(code)
        result.append(code.mul_(torch.gt(threshold, last, out=kept)))
    return result


def _count(mask: Tensor) -> int:
    return int(torch.count_nonzero(mask))


def _zero_cell(bounds: Tensor, zero: Tensor) -> Tensor:
    """Shape (tensors, 2): the boundaries between which ECQ assigns a weight to zero."""
    edges = torch.nn.functional.pad(bounds, (1, 0), value=-torch.inf)
    edges = torch.nn.functional.pad(edges, (0, 1), value=torch.inf)
    return edges.gather(1, torch.cat([zero, zero + 1], dim=1))


def _thresholds(
    t: int, placed: Placed, ranking: Ranking, tables: Tables, price: Tensor, rho: float
) -> tuple[Tensor, Tensor]:
    """The beta above which each weight becomes zero, and the code that it has otherwise.

    Parameters
    ----------
    t : the tensor's place in ``tables``, whose boundaries leave zero out
    price : float64 Tensor, shape (levels,): lam times code length

    Returns
    -------
    float Tensor and int32 Tensor, each of shape (n,)
    """
    grid, weight = placed.grid, placed.weight
    code_table = tables.spread(t, grid.codes(weight.device))
    price_table = tables.spread(t, price.to(weight.dtype))
    zero_price = price[grid.zero].to(weight.dtype)
    code, threshold = torch.empty_like(placed.index), torch.empty_like(weight)
    pieces = blocks(weight, placed.index, ranking.log_relevance, code, threshold)
    for part, index, log_relevance, out, result in pieces:
        position = tables.position(t, part, index)
        torch.index_select(code_table, 0, position, out=out)
        cost_other = (part - out * grid.step).square_()
        cost_other += price_table.index_select(0, position)
        cost_zero = part.square().add_(zero_price).mul_(rho)
        torch.div(cost_other.div_(cost_zero).log_(), log_relevance, out=result)
    return threshold, code


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
    inside = values[(values >= low).logical_and_(values <= high)]
    rank = k - _count(values < low)
    if 1 <= rank <= inside.numel():
        return inside.kthvalue(rank).values
    return values.kthvalue(k).values  # the sample was not representative
