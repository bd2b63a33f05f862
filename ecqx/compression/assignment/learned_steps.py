"""Grids whose steps are trained with the network, without and with a price of code length.

Source: Esser et al. [esser2020lsq], eq. 1 to 3 and section 2.2. Deviations: biases and activations
stay as they are, the first and last layer are quantized alike; with a price, levels are those of
ECQ's assignment on the learned grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ecqx.compression.assignment.assigners import Assigner
from ecqx.compression.assignment.diagram import Levels, assign, lambda_max, place, tensor_scale
from ecqx.compression.assignment.grid import Grid, fit_grid

_LEAST_STEP = 1e-8


class LearnedSteps(Assigner):
    """The cheapest level under squared distance plus lam times code length, the step trained.

    With ``lam`` 0 it is the nearest level. The strength of the price is fixed at the start, as in
    :class:`ecqx.compression.assignment.assigners.EntropyConstrained`.

    Parameters
    ----------
    weights : by name, at the start
    levels : per weight
    lam : 0 to 1
    share : learning rate of the steps, in parts of that of the network
    """

    def __init__(
        self, weights: Mapping[str, Tensor], *, levels: int, lam: float, share: float
    ) -> None:
        self.share = share
        self.ends: dict[str, tuple[int, int]] = {}
        self.steps: dict[str, Tensor] = {}
        for name, weight in weights.items():
            grid = fit_grid(weight, levels=levels)
            self.ends[name] = (grid.low, grid.high)
            step = 2 * weight.detach().abs().mean() / math.sqrt(grid.high)
            self.steps[name] = step.clamp(min=_LEAST_STEP)
        self.grids: dict[str, Grid] = {}
        self._follow()
        self.strengths = torch.zeros(0)
        if lam > 0 and weights:
            tensors = [place(weight, self.grids[name]) for name, weight in weights.items()]
            largest = max(len(placed.weight) for placed in tensors)
            scales = [tensor_scale(len(placed.weight), largest) for placed in tensors]
            strongest = lambda_max(tensors, Levels.of(tensors))
            self.strengths = lam * strongest * torch.tensor(scales).to(strongest)

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """The steps, at a rate of their own."""
        return [{"params": list(self.steps.values()), "lr": self.share * learning_rate}]

    def backward(
        self, shadows: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Straight through within the grid; the gradients of the steps go to their ``grad``."""
        through = {}
        for name, gradient in gradients.items():
            low, high = self.ends[name]
            position = shadows[name] / self.steps[name]
            inside = (low < position) & (position < high)
            level = position.round().clamp(low, high)
            slope = torch.where(inside, level - position, level)
            scale = 1 / math.sqrt(position.numel() * high)
            self.steps[name].grad = (gradient * slope).sum() * scale
            through[name] = gradient * inside
        return through

    def codes(self, shadows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Codes on the grids of the steps as they are now."""
        self._follow()
        if not self.strengths.numel():
            return {name: self.grids[name].nearest(shadow) for name, shadow in shadows.items()}
        tensors = [place(shadow, self.grids[name]) for name, shadow in shadows.items()]
        codes = assign(tensors, Levels.of(tensors), self.strengths)
        return {
            name: own.view(shadow.shape)
            for (name, shadow), own in zip(shadows.items(), codes, strict=True)
        }

    def _follow(self) -> None:
        """Grids with the steps that the bitstream has for those that are trained."""
        for name, step in self.steps.items():
            self.grids[name] = Grid(float(step.clamp_(min=_LEAST_STEP)), *self.ends[name]).coded()
