"""Uniform quantization with quantization-aware training.

Source: the uniform quantizer of ECQx [becking2021ecqx, section 4.1], lambda = 0, trained with the
straight-through estimator (Bengio et al. [bengio2013estimating]). Deviations: none.
"""

from dataclasses import dataclass

from ecqx.compression.assignment.assigners import Nearest
from ecqx.compression.assignment.grid import N_LEVELS
from ecqx.compression.contract import Compressed, Penalty, check_range, parameter, quantizable
from ecqx.compression.training import train_quantized


@dataclass(frozen=True)
class Uniform:
    """Nearest level on a grid of so many levels per tensor, network trained on the grid."""

    levels: int = parameter(16, label="levels per weight")

    def __post_init__(self):
        check_range("levels", self.levels, *N_LEVELS)

    def compress(self, model, task, rng, penalty: Penalty | None = None) -> Compressed:
        """See :class:`ecqx.compression.contract.Method`."""
        assigner = Nearest(quantizable(model), levels=self.levels)
        return train_quantized(model, task, assigner, penalty)
