"""The quantization grid of one weight tensor: 2^b levels k * step with zero among them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

MIN_BITS, MAX_BITS = 2, 8


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

    def nearest(self, weight: Tensor) -> Tensor:
        """Code of the nearest level, int32, shape of ``weight``; ties go to the even code.

        NaN becomes zero: a diverging training is noticed by its loss, once per epoch, without a
        look at every tensor of every step.
        """
        codes = (weight / self.step).round_().clamp_(self.low, self.high)
        return codes.nan_to_num_(nan=0.0).to(torch.int32)


def fit_grid(weight: Tensor, bits: int) -> Grid:
    """The grid of a tensor, fitted once, to the full-precision weights.

    The step is P99.9(|W|) / (2^(b-1) - 1), with the maximum where that percentile is zero; a
    tensor without negative weights uses levels 0 ... 2^b - 1. An even number of levels around
    zero leaves one level over: it goes to the sign that wins three of five statistics (extreme,
    mean magnitude, count, sum of magnitudes, standard deviation).

    Source: ECQx [becking2021ecqx], section 4.1; the statistics follow the authors' experiments.

    Parameters
    ----------
    weight : float Tensor, any shape, at least one element
    bits : int, 2 to 8

    Raises
    ------
    ValueError : bits out of range, or weights that are empty or not finite.
    """
    if not MIN_BITS <= bits <= MAX_BITS:
        raise ValueError(f"bits: {bits!r} is out of range, expected {MIN_BITS} to {MAX_BITS}")
    flat = weight.detach().flatten().to(torch.float64)
    if flat.numel() == 0 or not bool(flat.isfinite().all()):
        raise ValueError(f"weights of shape {tuple(weight.shape)} are empty or not finite")
    magnitude = flat.abs()
    negative, positive = -flat[flat < 0], flat[flat > 0]
    denominator = 2**bits - 1 if negative.numel() == 0 else 2 ** (bits - 1) - 1
    extent = _percentile(magnitude, 99.9) or float(magnitude.max())
    # A tensor of zeros has no scale; any step represents it exactly.
    step = extent / denominator if extent > 0 else 1.0
    # The decoder multiplies in float32, so the step is a float32 from the start.
    step = float(torch.tensor(step, dtype=torch.float32))
    step = max(step, 2.0**-100)  # below, its reciprocal would overflow
    if negative.numel() == 0:
        return Grid(step, 0, 2**bits - 1)
    half = 2 ** (bits - 1)
    return Grid(step, 1 - half, half) if _wins(positive, negative) else Grid(step, -half, half - 1)


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
