"""ECQx: the entropy-constrained assignment in which relevance prices the zero level.

The cost of zero is multiplied by rho * R^beta, with R in [0, 1] the relevance of the weight: what
is relevant becomes dear to zero out, what is irrelevant cheap.

Source: ECQx [becking2021ecqx], eq. 11; the closed form of beta is ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ecqx.compression.assignment import kernels
from ecqx.compression.assignment.diagram import Diagram, Levels, Placed, assign, boundaries
from ecqx.compression.assignment.thresholds import decide
from ecqx.compression.assignment.zero_choice import ZeroChoice

WINDOWS = ("below", "above")

_SMALL = 16_384  # weights of a tensor that is not worth a bracket


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

    def counts(self, ecq_zeros: Tensor, n_weights: int) -> tuple[Tensor, Tensor]:
        """Smallest and largest admissible number of zeros; int64 Tensors like ``ecq_zeros``."""
        width = math.floor(self.p * n_weights)  # whole weights: float32 cannot count beyond 2^24
        if self.side == "below":
            return (ecq_zeros - width).clamp(min=0), ecq_zeros
        return ecq_zeros, (ecq_zeros + width).clamp(max=n_weights)


@dataclass(frozen=True)
class Ranking:
    """The relevance of a tensor's weights, ready to be compared with their costs.

    Attributes
    ----------
    relative : float Tensor, shape (n,): R = |relevance| / max |relevance|
    log_mean : ln of the mean of R
    """

    relative: Tensor
    log_mean: float


def rank(relevances: Sequence[Tensor]) -> list[Ranking | None]:
    """Prepare relevance, signed or not, for the assignment; its magnitude counts.

    None for relevance that tells no two weights of a tensor apart (constant, all zero), or that is
    not finite: it cannot rank anything.
    """
    if not relevances:
        return []
    magnitudes = [relevance.detach().abs().flatten() for relevance in relevances]
    extremes = [magnitude.aminmax() for magnitude in magnitudes]
    # the host waits for the relevance twice, whatever the number of tensors
    rows = torch.stack([torch.stack([e.min, e.max]) for e in extremes]).tolist()
    for magnitude, (_, largest) in zip(magnitudes, rows, strict=True):
        magnitude.div_(largest)
    means = torch.stack([magnitude.mean() for magnitude in magnitudes]).tolist()
    return [
        Ranking(magnitude, math.log(mean))
        if smallest < largest < math.inf and 0 < mean < 1
        else None
        for magnitude, (smallest, largest), mean in zip(magnitudes, rows, means, strict=True)
    ]


def assign_by_relevance(
    tensors: Sequence[Placed],
    rankings: Sequence[Ranking | None],
    levels: Levels,
    strengths: Tensor,
    *,
    window: Window,
    rho: float = 2.0,
    guesses: Sequence[float | None] | None = None,
) -> tuple[list[Tensor], list[float | None]]:
    """Cheapest level per weight, the zero level priced by relevance.

    beta starts from ln(1/rho) / ln(mean R), at which the mean relevance leaves the cost of zero
    unchanged, and is clipped to the interval that keeps the tensor's sparsity inside the window.
    A weight is zeroed exactly if beta > t = ln(c1 / (rho c0)) / ln R, with c0 its cost of zero and
    c1 that of its best other level; so the ends of the interval are two order statistics of t.

    On a CPU, beta of a large tensor is bracketed first, and t is computed for those weights alone
    whose t may lie in the bracket; see :mod:`ecqx.compression.assignment.thresholds`. On a GPU
    nothing is read back to the host.

    Parameters
    ----------
    tensors, levels, strengths : as in :func:`ecqx.compression.assignment.diagram.assign`
    rankings : from :func:`rank`, one per tensor; None gives the tensor its ECQ assignment
    rho : float > 0, factor on the cost of zero at full relevance
    guesses : betas that this function returned for nearly the same weights and relevance; they
        save time and do not change the codes

    Returns
    -------
    codes : list of int32 Tensor, each of shape (n,): in [grid.low, grid.high]. A tensor's number
        of zeros is admissible, unless the window would need beta > 1 (then there are fewer), or
        weights alike in relevance and cost straddle its end (then all of these are zeroed).
    betas : list of float; None where a guess would save nothing
    """
    plain = assign(tensors, levels, strengths) if None in rankings else []
    # both diagrams at once: without the zero level, and with it
    others = levels.without_zero()
    information = torch.cat([others.information, levels.information])
    twice = Levels(levels.values.repeat(2, 1), levels.zero.repeat(2, 1), information)
    rows, own_rows = boundaries(twice, strengths.repeat(2)).chunk(2)
    usable = levels.information.isfinite()
    price = torch.where(usable, strengths[:, None] * levels.information, torch.inf)
    cells = _zero_cell(own_rows, levels.zero)
    codes: list[Tensor] = []
    betas: list[float | None] = [None] * len(tensors)
    for t, (placed, ranking) in enumerate(zip(tensors, rankings, strict=True)):
        if ranking is None:
            codes.append(plain[t])
            continue
        fewest, most = window.counts(_count_between(placed.weight, cells[t]), len(placed.weight))
        neutral = min(max(math.log(1 / rho) / ranking.log_mean, 0.0), 1.0)
        choice = ZeroChoice(
            placed, Diagram(placed, rows[t]), price[t], ranking.relative, rho, neutral, fewest, most
        )
        small = placed.index is None or len(placed.weight) < _SMALL
        if small:
            codes.append(choice.of_all()[0])
        else:
            found, betas[t] = decide(choice, guesses[t] if guesses else None)
            codes.append(found)
    return codes, betas


def _zero_cell(bounds: Tensor, zero: Tensor) -> Tensor:
    """Shape (tensors, 2): the boundaries between which ECQ assigns a weight to zero."""
    edges = torch.nn.functional.pad(bounds, (1, 0), value=-torch.inf)
    edges = torch.nn.functional.pad(edges, (0, 1), value=torch.inf)
    return edges.gather(1, torch.cat([zero, zero + 1], dim=1))


def _count_between(weight: Tensor, cell: Tensor) -> Tensor:
    """int64 Tensor, a scalar: how many weights are above the first bound, up to the second."""
    ends = cell.to(weight.dtype)
    if not kernels.serve(weight):
        return ((weight > ends[0]) & (weight <= ends[1])).sum()
    return torch.tensor(kernels.count_between(weight.numpy(), *ends.numpy()))
