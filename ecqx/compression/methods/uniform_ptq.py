"""Uniform post-training quantization: every weight to its nearest level, no training.

Source: the uniform quantizer that ECQx starts from [becking2021ecqx, section 4.1], lambda = 0.
Deviation: the step of each tensor is the one of least squared error; with ``step_rule: percentile``
it is the source's, which suits a grid that training starts from rather than one that stays.
"""

from dataclasses import dataclass

from ecqx.compression.assignment.assigners import Nearest
from ecqx.compression.assignment.grid import N_LEVELS, STEP_RULES
from ecqx.compression.contract import (
    Compressed,
    check_choice,
    check_range,
    parameter,
    quantizable,
)
from ecqx.compression.training import quantize_once


@dataclass(frozen=True)
class UniformPTQ:
    """Nearest level on a grid of so many levels per tensor, whose step ``step_rule`` decides."""

    levels: int = parameter(16, label="levels per weight")
    step_rule: str = parameter("least_squares", words="step by {}")

    def __post_init__(self):
        check_range("levels", self.levels, *N_LEVELS)
        check_choice("step_rule", self.step_rule, STEP_RULES)

    def compress(self, model, task, rng) -> Compressed:
        weights = quantizable(model)
        return quantize_once(model, Nearest(weights, levels=self.levels, step_rule=self.step_rule))
