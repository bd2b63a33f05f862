"""The last step of methods that train a network in floating point: its weights become codes.

Source: CERWU [cerwu2025], see :mod:`ecqx.compression.methods.obs`, for ``cerwu``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ecqx.compression.assignment.assigners import Nearest
from ecqx.compression.assignment.grid import N_LEVELS, fit_grid
from ecqx.compression.contract import (
    Quantized,
    check_choice,
    check_range,
    parameter,
    quantizable,
)
from ecqx.compression.obs.network import calibration_moments, round_network
from ecqx.compression.training import snapshot
from ecqx.tasks.task import Task

QUANTIZERS = ("none", "uniform", "cerwu")
_SAMPLES = 512  # training inputs of which CERWU takes its metrics


@dataclass(frozen=True)
class PostTrainingQuantizer:
    """How the weights of a trained network become codes; zero weights stay zero.

    ``quantizer`` is ``uniform``: the nearest of so many ``levels``, with the step of least squared
    error; ``cerwu``: column by column, with ``lam`` times the bits of a level in its cost; or
    ``none``, with which weights stay floating point and the two others mean nothing.
    """

    quantizer: str = parameter("uniform", words="{}")
    levels: int = parameter(16, label="levels per weight")
    lam: float = parameter(0.1, label="λ: weight of the rate")

    def __post_init__(self):
        check_choice("quantizer", self.quantizer, QUANTIZERS)
        check_range("levels", self.levels, *N_LEVELS)
        check_range("lam", self.lam, 0.0, 1000.0)

    def quantized(
        self, model: torch.nn.Module, task: Task, rng: torch.Generator
    ) -> dict[str, Tensor | Quantized]:
        """The whole network: weights as codes, the rest copied.

        Parameters
        ----------
        rng : which training inputs CERWU takes its metrics of
        """
        if self.quantizer == "none":
            return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        weights = {name: weight.detach() for name, weight in quantizable(model).items()}
        if self.quantizer == "uniform":
            assigner = Nearest(weights, levels=self.levels, step_rule="least_squares")
            return snapshot(model, assigner.codes(weights), assigner.grids)
        grids = {n: fit_grid(w, levels=self.levels).coded() for n, w in weights.items()}
        moments = calibration_moments(model, task, _SAMPLES, rng)
        codes = round_network(model, grids, moments, self.lam, zeros_stay=True)
        return snapshot(model, codes, grids)
