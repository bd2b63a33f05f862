"""Slow and obvious versions of what the library does in closed form."""

import torch


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


def zero_mask_at(beta, relative, cost_zero, cost_other, rho):
    """Which weights the ECQx rule zeroes at a given beta, by the definition."""
    return rho * relative.double().pow(beta) * cost_zero.double() < cost_other.double()
