"""From the full-precision weights of a network to the codes of its quantized weights.

An assigner is built once from the full-precision weights (which fixes grids and constraint
strengths) and then asked for the codes of the shadow weights after every training step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from ecqx.compression.assignment.by_relevance import Ranking, Window, assign_by_relevance, rank
from ecqx.compression.assignment.diagram import (
    Levels,
    Placed,
    assign,
    lambda_max,
    place,
    tensor_scale,
)
from ecqx.compression.assignment.grid import Grid, fit_grid
from ecqx.compression.assignment.relevance_sources import RelevanceSource


class Assigner(Protocol):
    """What quantization-aware training needs to know of a method.

    Part of the contract of trained methods, see :class:`ecqx.compression.contract.Method`.

    Whoever inherits from it gets the straight-through estimator (Bengio et al.
    [bengio2013estimating]) and nothing to be trained but the network.

    Attributes
    ----------
    grids : by name of the weight, its grid; read after each call of ``codes``, so that grids may
        change from step to step
    """

    grids: dict[str, Grid]

    def codes(self, shadows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """int32 codes of the shadow weights, by name, each in the shape of its weight."""

    def observe(
        self, model: torch.nn.Module, shadows: Mapping[str, Tensor], x: Tensor, y: Tensor
    ) -> None:
        """See a training step before its update: quantized model, shadow weights, minibatch."""

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """What is trained beside the network, as groups of parameters for the optimizer.

        Parameters
        ----------
        learning_rate : of the network. A group without an ``lr`` has the same; each is annealed.

        Returns
        -------
        list of dict : as :class:`torch.optim.Adam` takes them; empty unless overridden
        """
        return []

    def backward(
        self, shadows: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Gradients of the shadow weights, straight through unless overridden.

        Gradients of own parameters go to their ``grad``, which is None before.

        Parameters
        ----------
        gradients : of the loss with respect to the quantized weights, by name; a weight that took
            no part in the loss is absent

        Returns
        -------
        Mapping : gradients by name; a shadow weight without one stays where it is
        """
        return gradients

    def in_force(self, epoch: int, epochs: int) -> bool:
        """Whether the constraint holds in full at the end of an epoch.

        Only such epochs can be chosen on validation: while a pruning ramp or an annealed strength
        is on its way, the network is another than the method promises. If there is none, the last
        one is taken.

        Parameters
        ----------
        epoch : from 1
        epochs : of the budget

        Returns
        -------
        bool : True unless overridden
        """
        return True


class Nearest(Assigner):
    """Uniform quantization: the nearest level (lam = 0)."""

    def __init__(
        self, weights: Mapping[str, Tensor], *, levels: int, step_rule: str = "percentile"
    ) -> None:
        self.grids = {
            name: fit_grid(weight, levels=levels, step_rule=step_rule).coded()
            for name, weight in weights.items()
        }

    def codes(self, shadows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: self.grids[name].nearest(weight) for name, weight in shadows.items()}


class EntropyConstrained(Assigner):
    """ECQ: the cheapest level under squared distance plus lam times code length.

    The constraint of a tensor is lam_l = lam * s_l * lam_l^max, with s_l smaller for tensors with
    few weights and lam_l^max the strength that would zero the whole full-precision tensor; that
    makes ``lam`` in [0, 1] comparable across layers and tasks. It stays fixed during training,
    while the code lengths follow the weights.
    """

    def __init__(self, weights: Mapping[str, Tensor], *, levels: int, lam: float) -> None:
        self.grids = {
            name: fit_grid(weight, levels=levels).coded() for name, weight in weights.items()
        }
        tensors = self._placed(weights)
        largest = max((len(placed.weight) for placed in tensors), default=1)
        scale = [tensor_scale(len(placed.weight), largest) for placed in tensors]
        # lam_l of each tensor, in the order of the weights
        self.strengths = torch.zeros(0)
        if tensors:
            strongest = lambda_max(tensors, Levels.of(tensors))
            scales = torch.tensor(scale, dtype=torch.float64).to(strongest)
            self.strengths = lam * scales * strongest

    def _placed(self, weights: Mapping[str, Tensor]) -> list[Placed]:
        return [place(weight, self.grids[name]) for name, weight in weights.items()]

    def codes(self, shadows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if not shadows:
            return {}
        tensors = self._placed(shadows)
        return _shaped(assign(tensors, Levels.of(tensors), self.strengths), shadows)


class RelevanceConstrained(EntropyConstrained):
    """ECQx: as ECQ, with the cost of zero priced by the relevance of each weight.

    Relevance is measured every ``interval``-th step and smoothed: R_t = (1 - momentum) R_new +
    momentum R_(t-1). Before the first step there is none yet, and the assignment is that of ECQ.

    Parameters
    ----------
    source : where relevance comes from, see :mod:`ecqx.compression.assignment.relevance_sources`
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        source: RelevanceSource,
        *,
        levels: int,
        lam: float,
        window: Window,
        rho: float,
        momentum: float,
        interval: int,
    ) -> None:
        super().__init__(weights, levels=levels, lam=lam)
        self.source, self.window, self.rho = source, window, rho
        self.momentum, self.interval = momentum, interval
        self.relevance: dict[str, Tensor] = {}
        self._rankings: dict[str, Ranking | None] = {}
        self._betas: list[float | None] | None = None
        self._steps = 0

    def observe(
        self, model: torch.nn.Module, shadows: Mapping[str, Tensor], x: Tensor, y: Tensor
    ) -> None:
        if self._steps % self.interval == 0:
            for name, new in self.source(model, shadows, x, y).items():
                smoothed = self.relevance.setdefault(name, new)
                if smoothed is not new:
                    smoothed.lerp_(new, 1 - self.momentum)
            rankings = rank(list(self.relevance.values()))
            self._rankings = dict(zip(self.relevance, rankings, strict=True))
            for name, ranking in self._rankings.items():
                if ranking is None:  # what overflowed once would stay so for ever
                    del self.relevance[name]
        self._steps += 1

    def codes(self, shadows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if not shadows:
            return {}
        tensors = self._placed(shadows)
        rankings = [self._rankings.get(name) for name in shadows]
        codes, self._betas = assign_by_relevance(
            tensors,
            rankings,
            Levels.of(tensors),
            self.strengths,
            window=self.window,
            rho=self.rho,
            guesses=self._betas,
        )
        return _shaped(codes, shadows)


def _shaped(codes: list[Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Flat codes by name, in the shape of their weights."""
    pairs = zip(weights.items(), codes, strict=True)
    return {name: flat.view_as(weight) for (name, weight), flat in pairs}
