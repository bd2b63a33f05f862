"""Uniform quantization with quantization-aware training.

Source: the uniform quantizer of ECQx [becking2021ecqx, section 4.1], lambda = 0, trained with the
straight-through estimator (Bengio et al. [bengio2013estimating]). Deviations: none.
"""

from dataclasses import dataclass

from ecqx.compression.assignment.assigners import Nearest
from ecqx.compression.contract import Compressed, Penalty, check_range, parameter, quantizable
from ecqx.compression.training import train_quantized


@dataclass(frozen=True)
class Uniform:
    """Nearest level on a grid of 2^bits levels per tensor, network trained on the grid."""

    bits: int = parameter(4, label="bits per weight")

    def __post_init__(self):
        check_range("bits", self.bits, 2, 8)

    def compress(self, model, task, rng, penalty: Penalty | None = None) -> Compressed:
        """See :class:`ecqx.compression.contract.Method`."""
        return train_quantized(model, task, Nearest(quantizable(model), self.bits), penalty)
