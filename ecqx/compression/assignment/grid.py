"""The quantization grid of one weight tensor: levels k * step with zero among them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ecqx.compression.artefact import codec
from ecqx.compression.assignment.least_squares import least_squares_step
from ecqx.compression.contract import check_choice, check_range

N_LEVELS = (3, 256)
STEP_RULES = ("percentile", "least_squares")


@dataclass(frozen=True)
class Grid:
    """Levels ``step * k`` for the integers ``low <= k <= high``; ``low <= 0 <= high``."""

    step: float
    low: int
    high: int

    @property
    def n_levels(self) -> int:
        return self.high - self.low + 1

    @property
    def zero(self) -> int:
        """Index of the zero level."""
        return -self.low

    def codes(self, device: torch.device | str = "cpu") -> Tensor:
        """int32 Tensor, shape (n_levels,): low ... high."""
        return torch.arange(self.low, self.high + 1, dtype=torch.int32, device=device)

    @property
    def levels(self) -> Tensor:
        """float64 Tensor, shape (n_levels,), increasing: ``step * codes``."""
        return self.codes().to(torch.float64) * self.step

    def coded(self) -> Grid:
        """The same codes with the step that the bitstream has for them, at most 0.4 % off."""
        return Grid(codec.step_of(codec.nearest_qp(self.step)), self.low, self.high)

    def nearest(self, weight: Tensor) -> Tensor:
        """Code of the nearest level, int32, shape of ``weight``; ties go to the even code.

        NaN becomes zero: a diverging training is noticed by its loss, once per epoch, without a
        look at every tensor of every step.
        """
        codes = (weight / self.step).round_().clamp_(self.low, self.high)
        return codes.nan_to_num_(nan=0.0).to(torch.int32)


def fit_grid(weight: Tensor, *, levels: int, step_rule: str = "percentile") -> Grid:
    """The grid of a tensor, fitted once, to the full-precision weights.

    An odd number of levels L lies symmetrically around zero. An even one leaves one level over: it
    goes to the sign that wins three of five statistics (extreme, mean magnitude, count, sum of
    magnitudes, standard deviation). A tensor without negative weights uses levels 0 ... L - 1.

    The step is P99.9(|W|) / k with k the largest code of the shorter side, and the maximum in place
    of the percentile where that is zero; or the one of least squared error.

    Source: ECQx [becking2021ecqx], section 4.1, for L = 2^b; the statistics follow the authors'
    experiments.

    Parameters
    ----------
    weight : float Tensor, any shape, at least one element
    levels : int, 3 to 256
    step_rule : "percentile", or "least_squares": that of
        :func:`ecqx.compression.assignment.least_squares.least_squares_step`

    Raises
    ------
    ValueError : levels out of range, an unknown rule, or weights that are empty or not finite.
    """
    check_range("levels", levels, *N_LEVELS)
    check_choice("step_rule", step_rule, STEP_RULES)
    flat = weight.detach().flatten().to(torch.float64)
    if flat.numel() == 0 or not bool(flat.isfinite().all()):
        raise ValueError(f"weights of shape {tuple(weight.shape)} are empty or not finite")
    low, high = _ends(flat, levels)
    magnitude = flat.abs()
    largest = float(magnitude.max())
    if largest == 0:
        step = 1.0  # a tensor of zeros has no scale; any step represents it exactly
    elif step_rule == "least_squares":
        step = least_squares_step(flat.cpu().numpy(), low, high)
    else:
        step = (_percentile(magnitude, 99.9) or largest) / (min(-low, high) or high)
    # The decoder multiplies in float32, so the step is a float32 from the start.
    step = float(torch.tensor(step, dtype=torch.float32))
    step = max(step, 2.0**-100)  # below, its reciprocal would overflow
    return Grid(step, low, high)


def _ends(weight: Tensor, levels: int) -> tuple[int, int]:
    """Smallest and largest code for the weights of a tensor."""
    negative, positive = -weight[weight < 0], weight[weight > 0]
    if negative.numel() == 0:
        return 0, levels - 1
    short, long = (levels - 1) // 2, levels // 2
    return (-short, long) if _wins(positive, negative) else (-long, short)


def _wins(positive: Tensor, negative: Tensor) -> bool:
    """Whether the positive magnitudes beat the negative ones in three of five statistics."""
    if positive.numel() == 0:
        return False

    def statistics(m: Tensor) -> list[float]:
        return [
            float(m.max()),
            float(m.mean()),
            float(m.numel()),
            float(m.sum()),
            float(m.std(correction=0)),
        ]

    pairs = zip(statistics(positive), statistics(negative), strict=True)
    return sum(p > n for p, n in pairs) >= 3


def _percentile(values: Tensor, q: float) -> float:
    """Linear-interpolation percentile; torch.quantile refuses more than 2^24 elements."""
    rank = q / 100 * (values.numel() - 1)
    below = int(rank)
    low = values.kthvalue(below + 1).values
    high = values.kthvalue(min(below + 2, values.numel())).values
    return float(low + (high - low) * (rank - below))
