"""The choice between zero and the best other level, for the weights of one tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ecqx.compression.assignment import kernels
from ecqx.compression.assignment.diagram import Diagram, Placed


@dataclass(frozen=True)
class ZeroChoice:
    """One tensor's weights, what zero and the other levels cost them, and how many may be zero.

    A weight becomes zero at every beta from its threshold t = ln(c1 / (rho c0)) / ln R on, with c0
    its cost of zero, c1 that of its best other level, and R its relevance.

    Source: ECQx [becking2021ecqx], eq. 11, solved for beta.

    Attributes
    ----------
    placed : Placed, n weights
    diagram : Diagram of their levels without zero
    price : float64 Tensor, shape (levels,): lam times code length; infinite for an unused level
    relative : float Tensor, shape (n,): R, from 0 to 1
    rho : float > 0, factor on the cost of zero
    neutral : float in [0, 1], the beta that is wanted
    fewest, most : int64 Tensors, scalars: how many weights may be zero
    """

    placed: Placed
    diagram: Diagram
    price: Tensor
    relative: Tensor
    rho: float
    neutral: float
    fewest: Tensor
    most: Tensor

    @property
    def weight(self) -> Tensor:
        """float Tensor, shape (n,)."""
        return self.placed.weight

    def thresholds(self, places: np.ndarray | None = None) -> tuple[Tensor, Tensor]:
        """Thresholds of weights, and the codes that they have below them.

        R is kept off 0 and 1 by one float. Weights of no relevance then still differ by their
        costs, where the rule would zero them all at once.

        Parameters
        ----------
        places : integer array, shape (m,), of weights; all by default, and always but on the CPU

        Returns
        -------
        float Tensor and int32 Tensor, each of shape (m,)
        """
        price = self.price.to(self.weight.dtype)
        if self.placed.index is None:
            return self._all_thresholds(price)
        if places is None:
            places = np.arange(len(self.weight))
        grid, weight = self.placed.grid, self.weight.numpy()
        real, code = weight.dtype.type, np.empty(len(places), dtype=np.int32)
        threshold = np.empty(len(places), dtype=weight.dtype)
        kernels.thresholds(
            places,
            weight,
            self.placed.index,
            self.relative.numpy(),
            self.diagram.below,
            self.diagram.bounds.numpy(),
            np.int32(grid.low),
            real(grid.step),
            price.numpy(),
            real(self.rho),
            threshold,
            code,
        )
        return torch.from_numpy(threshold), torch.from_numpy(code)

    def _all_thresholds(self, price: Tensor) -> tuple[Tensor, Tensor]:
        grid, weight, real = self.placed.grid, self.weight, torch.finfo(self.weight.dtype)
        position = torch.bucketize(weight, self.diagram.bounds[:-1], out_int32=True)
        code = position + grid.low
        cost_other = (weight - code.to(weight.dtype) * grid.step).square_().add_(price[position])
        cost_zero = weight.square().add_(price[grid.zero]).mul_(self.rho)
        log_relevance = self.relative.clamp(real.tiny, 1 - real.eps / 2).log_()
        return cost_other.div_(cost_zero).log_().div_(log_relevance), code

    def beta(self, threshold: Tensor, known: int) -> Tensor:
        """``neutral``, clipped to what leads to an admissible number of zeros.

        At most 1, unless the number of zeros would be too large. Where ``neutral`` leads to just
        the largest number it becomes the largest threshold below it: the codes are the same.

        Parameters
        ----------
        threshold : Tensor, shape (m,), of those weights that may become zero or not
        known : how many others certainly become zero; the rest certainly does not

        Returns
        -------
        Tensor, a scalar
        """
        zeros = (threshold <= self.neutral).sum()
        fewest, most = self.fewest - known, self.most - known
        # Only an end of the window that ``neutral`` lies beyond, or may, has to be found: weights
        # that certainly stay may have thresholds up to ``neutral``.
        none, all_ = torch.zeros_like(zeros), torch.full_like(zeros, len(threshold) + 1)
        least, largest = order_statistics(
            threshold,
            torch.where(zeros < fewest, fewest, none),
            torch.where(zeros >= most, most, all_),
        )
        return least.clamp(max=1.0).clamp(min=self.neutral).minimum(largest)

    def of_all(self) -> tuple[Tensor, Tensor]:
        """Codes, int32, shape (n,), and beta, a scalar, from the thresholds of all weights."""
        threshold, code = self.thresholds()
        beta = self.beta(threshold, 0)
        return code.mul_(threshold > beta), beta


def order_statistics(values: Tensor, *k: Tensor) -> Tensor:
    """For each k the k-th smallest value, counting from 1, as float64.

    -inf and inf where k is below 1 or above the number of values. On a GPU nothing is read back to
    the host.
    """
    if not kernels.serve(values):
        return order_statistics_by_sorting(values, *k)
    array, places, last = values.numpy(), [int(each) - 1 for each in k], len(values) - 1
    inside = [place for place in places if 0 <= place <= last]
    ordered = np.partition(array, inside) if inside else array
    found = [
        -math.inf if place < 0 else math.inf if place > last else ordered[place] for place in places
    ]
    return torch.tensor(found, dtype=torch.float64)


def order_statistics_by_sorting(values: Tensor, *k: Tensor) -> Tensor:
    """The same, without a look at the values of k."""
    infinite = values.new_tensor([torch.inf])
    ordered = torch.cat([-infinite, values.sort().values, infinite])
    return ordered[torch.stack(k).clamp(0, len(values) + 1)].double()
