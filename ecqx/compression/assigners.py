"""From the full-precision weights of a network to the codes of its quantized weights.

An assigner is built once from the full-precision weights (which fixes grids and constraint
strengths) and then asked for the codes of the shadow weights after every training step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from ecqx.compression.assignment import assign, information, lambda_max, tensor_scale
from ecqx.compression.grid import Grid, fit_grid
from ecqx.compression.relevance_assignment import Window, assign_by_relevance
from ecqx.compression.relevance_sources import RelevanceSource


class Assigner(Protocol):
    """What quantization-aware training needs to know of a method."""

    grids: dict[str, Grid]

    def observe(
        self, model: torch.nn.Module, shadows: Mapping[str, Tensor], x: Tensor, y: Tensor
    ) -> None:
        """See a training step before its update: quantized model, shadow weights, minibatch."""

    def codes(self, name: str, weight: Tensor) -> Tensor:
        """int32 codes, shape of ``weight``, for the shadow weight of that name."""


class Nearest:
    """Uniform quantization: the nearest level (lam = 0)."""

    def __init__(self, weights: Mapping[str, Tensor], bits: int) -> None:
        self.grids = {name: fit_grid(weight, bits) for name, weight in weights.items()}

    def observe(
        self, model: torch.nn.Module, shadows: Mapping[str, Tensor], x: Tensor, y: Tensor
    ) -> None:
        """Nothing to learn from a training step."""

    def codes(self, name: str, weight: Tensor) -> Tensor:
        return self.grids[name].nearest(weight)


class EntropyConstrained:
    """ECQ: the cheapest level under squared distance plus lam times code length.

    The constraint of a tensor is lam_l = lam * s_l * lam_l^max, with s_l smaller for tensors with
    few weights and lam_l^max the strength that would zero the whole full-precision tensor; that
    makes ``lam`` in [0, 1] comparable across layers and tasks. It stays fixed during training,
    while the code lengths follow the weights.
    """

    def __init__(self, weights: Mapping[str, Tensor], bits: int, lam: float) -> None:
        self.grids = {name: fit_grid(weight, bits) for name, weight in weights.items()}
        largest = max((weight.numel() for weight in weights.values()), default=1)
        self.lambdas = {}
        for name, weight in weights.items():
            grid = self.grids[name]
            strongest = lambda_max(weight, grid, information(weight, grid))
            self.lambdas[name] = lam * tensor_scale(weight.numel(), largest) * strongest

    def observe(
        self, model: torch.nn.Module, shadows: Mapping[str, Tensor], x: Tensor, y: Tensor
    ) -> None:
        """Nothing to learn from a training step."""

    def codes(self, name: str, weight: Tensor) -> Tensor:
        grid = self.grids[name]
        return assign(weight, grid, information(weight, grid), self.lambdas[name])


class RelevanceConstrained(EntropyConstrained):
    """ECQx: as ECQ, with the cost of zero priced by the relevance of each weight.

    Relevance is measured every ``interval``-th step and smoothed: R_t = (1 - momentum) R_new +
    momentum R_(t-1). Before the first step there is none yet, and the assignment is that of ECQ.

    Parameters
    ----------
    source : where relevance comes from, see :mod:`ecqx.compression.relevance_sources`
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        bits: int,
        lam: float,
        source: RelevanceSource,
        *,
        window: Window,
        rho: float,
        momentum: float,
        interval: int,
    ) -> None:
        super().__init__(weights, bits, lam)
        self.source, self.window, self.rho = source, window, rho
        self.momentum, self.interval = momentum, interval
        self.relevance: dict[str, Tensor] = {}
        self._steps = 0

    def observe(
        self, model: torch.nn.Module, shadows: Mapping[str, Tensor], x: Tensor, y: Tensor
    ) -> None:
        if self._steps % self.interval == 0:
            for name, new in self.source(model, shadows, x, y).items():
                old = self.relevance.get(name)
                self.relevance[name] = new if old is None else torch.lerp(new, old, self.momentum)
        self._steps += 1

    def codes(self, name: str, weight: Tensor) -> Tensor:
        relevance = self.relevance.get(name)
        if relevance is None:
            return super().codes(name, weight)
        grid = self.grids[name]
        info = information(weight, grid)
        return assign_by_relevance(
            weight, relevance, grid, info, self.lambdas[name], window=self.window, rho=self.rho
        )
