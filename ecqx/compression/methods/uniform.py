"""Uniform quantization with quantization-aware training.

Source: the uniform quantizer of ECQx [becking2021ecqx, section 4.1], lambda = 0, trained with the
straight-through estimator (Bengio et al. [bengio2013estimating]). Deviations: none.
"""

from dataclasses import dataclass

from ecqx.compression.assignment.assigners import Nearest
from ecqx.compression.assignment.grid import N_LEVELS
from ecqx.compression.contract import (
    Compressed,
    Penalty,
    check_choice,
    check_range,
    parameter,
    quantizable,
)
from ecqx.compression.obs.initial import INITIAL, start_from
from ecqx.compression.training import train_quantized


@dataclass(frozen=True)
class Uniform:
    """Nearest level on a grid of so many levels per tensor, network trained on the grid.

    ``initial`` names the codes that training starts from, see :mod:`ecqx.compression.obs.initial`.
    """

    levels: int = parameter(16, label="levels per weight")
    initial: str = parameter("nearest", words="from {} codes")

    def __post_init__(self):
        check_range("levels", self.levels, *N_LEVELS)
        check_choice("initial", self.initial, INITIAL)

    def compress(self, model, task, rng, penalty: Penalty | None = None) -> Compressed:
        """See :class:`ecqx.compression.contract.Method`."""
        assigner = Nearest(quantizable(model), levels=self.levels)
        start_from(self.initial, model, assigner.grids, task, rng)
        return train_quantized(model, task, assigner, penalty)
