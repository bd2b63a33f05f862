"""Uniform post-training quantization: every weight to its nearest level, no training.

Source: the uniform quantizer that ECQx starts from [becking2021ecqx, section 4.1], lambda = 0.
Deviations: none.
"""

from dataclasses import dataclass

from ecqx.compression.assignment.assigners import Nearest
from ecqx.compression.contract import Compressed, check_range, parameter, quantizable
from ecqx.compression.training import quantize_once


@dataclass(frozen=True)
class Method:
    """Nearest level on a grid of 2^bits levels per tensor."""

    bits: int = parameter(4, label="bits per weight")

    def __post_init__(self):
        check_range("bits", self.bits, 2, 8)

    def compress(self, model, task, rng) -> Compressed:
        return quantize_once(model, Nearest(quantizable(model), self.bits))
