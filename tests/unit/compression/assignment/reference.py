"""Slow and obvious versions of what the library does in closed form."""

import torch

from ecqx.compression.assignment.by_relevance import assign_by_relevance, rank
from ecqx.compression.assignment.diagram import Levels, assign, boundaries, lambda_max, place


def brute_force_assign(weight, levels, info, lam):
    """argmin over an explicit (weights x levels) cost table; ties to the lower level."""
    cost = (weight.flatten()[:, None] - levels[None, :]) ** 2 + lam * info[None, :]
    cost = torch.where(info.isfinite()[None, :], cost, torch.inf)
    return cost.argmin(1).view(weight.shape), cost


def smallest_lambda_that_zeroes(weight, levels, info, zero):
    """Bisection on the brute-force assignment."""
    low, high = 0.0, 1.0
    while (brute_force_assign(weight, levels, info, high)[0] != zero).any():
        high *= 2
        if high > 1e12:
            return float("inf")
    for _ in range(200):
        middle = (low + high) / 2
        if (brute_force_assign(weight, levels, info, middle)[0] != zero).any():
            low = middle
        else:
            high = middle
    return high


def zeroing_costs(weight, levels, info, lam, zero):
    """Cost of zero, cost of the best other level and its index, from the explicit table."""
    _, cost = brute_force_assign(weight, levels, info, lam)
    cost_zero = cost[:, zero].clone()
    cost[:, zero] = torch.inf
    best = cost.min(1)
    return cost_zero, best.values, best.indices


def zero_mask_at(beta, relative, cost_zero, cost_other, rho):
    """Which weights the ECQx rule zeroes at a given beta, by the definition."""
    return rho * relative.double().pow(beta) * cost_zero.double() < cost_other.double()


class Single:
    """The batched functions of the library on a single tensor."""

    def __init__(self, weight, grid, info=None):
        self.shape, self.grid = weight.shape, grid
        self.placed = place(weight, grid)
        self.levels = Levels.of([self.placed])
        if info is not None:
            self.levels = Levels(self.levels.values, self.levels.zero, info[None])
        self.info = self.levels.information[0]

    def lambda_max(self):
        return lambda_max([self.placed], self.levels)[0]

    def assign(self, lam):
        return assign([self.placed], self.levels, _vector(lam))[0].view(self.shape)

    def assign_by_relevance(self, relevance, lam, **options):
        codes, _ = assign_by_relevance(
            [self.placed], rank([relevance]), self.levels, _vector(lam), **options
        )
        return codes[0].view(self.shape)

    def boundaries(self, lam):
        return boundaries(self.levels, _vector(lam))[0]


def _vector(lam):
    return torch.as_tensor(lam, dtype=torch.float64).reshape(1)
