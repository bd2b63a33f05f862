"""Magnitude pruning with quantization-aware training, and its control that prunes at random.

Source: Han et al. [han2015connections]; Zhu and Gupta [zhu2018prune], eq. 1, for the ramp.
Deviations: the network trains on its grid (Bengio et al. [bengio2013estimating]) from the first
step on, and one threshold holds for all tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ecqx.compression.assignment.grid import N_LEVELS
from ecqx.compression.assignment.pruning import Pruned
from ecqx.compression.contract import Compressed, Penalty, check_range, parameter, quantizable
from ecqx.compression.training import train_quantized


@dataclass(frozen=True)
class Prune:
    """The smallest weights to zero, ``sparsity`` of them after ``ramp`` of the budget."""

    levels: int = parameter(16, label="levels per weight")
    sparsity: float = parameter(0.8, label="share of pruned weights")
    ramp: float = parameter(0.5, role="variant", words="ramp over {} of the budget")

    def __post_init__(self):
        check_range("levels", self.levels, *N_LEVELS)
        check_range("sparsity", self.sparsity, 0.0, 0.999)
        check_range("ramp", self.ramp, 0.0, 1.0)

    def compress(self, model, task, rng, penalty: Penalty | None = None) -> Compressed:
        """See :class:`ecqx.compression.contract.Method`."""
        weights = quantizable(model)
        assigner = Pruned(
            weights,
            levels=self.levels,
            sparsity=self.sparsity,
            ramp_steps=max(1, round(self.ramp * task.budget.epochs * task.steps_per_epoch)),
            epoch_steps=task.steps_per_epoch,
            scores=self._scores(weights, rng),
        )
        return train_quantized(model, task, assigner, penalty)

    def _scores(self, weights, rng) -> dict[str, torch.Tensor] | None:
        return None


@dataclass(frozen=True)
class PruneRandom(Prune):
    """The control: which weights go to zero is drawn at random, once."""

    def _scores(self, weights, rng) -> dict[str, torch.Tensor] | None:
        return {
            name: torch.rand(weight.shape, generator=rng).to(weight.device)
            for name, weight in weights.items()
        }
