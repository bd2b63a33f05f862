"""Pruning that is ramped up while the network trains on its grid, then masked.

Source: Zhu and Gupta [zhu2018prune], eq. 1, for the ramp.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ecqx.compression.assignment.assigners import Nearest


class Pruned(Nearest):
    """The nearest level of what is not pruned; what is, is zero.

    The share of pruned weights rises as s (1 - (1 - t)^3) while t goes from 0 to 1 along the ramp.
    Meanwhile scores decide anew in each step, over all tensors together; behind it the mask stays
    and pruned weights are not trained any more.

    Parameters
    ----------
    weights : by name, at the start
    levels : per weight
    sparsity : share of weights that are pruned in the end, in [0, 1)
    ramp_steps, epoch_steps : training steps until then, and of an epoch
    scores : by name, optional; what is pruned from the lowest up. By default the magnitudes of the
        weights as they are.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        *,
        levels: int,
        sparsity: float,
        ramp_steps: int,
        epoch_steps: int,
        scores: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__(weights, levels=levels)
        self.sparsity, self.ramp_steps, self.epoch_steps = sparsity, ramp_steps, epoch_steps
        self.scores = scores
        self.masks = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}
        self._steps = 0

    def observe(self, model, shadows, x, y) -> None:
        """Count the step."""
        self._steps += 1

    def backward(
        self, shadows: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Straight through; once the mask stays, not to pruned weights."""
        if self._steps <= self.ramp_steps:
            return gradients
        return {name: gradient * self.masks[name] for name, gradient in gradients.items()}

    def codes(self, shadows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Nearest levels, zero where pruned."""
        if self._steps <= self.ramp_steps:
            self._mask(shadows)
        return {name: codes * self.masks[name] for name, codes in super().codes(shadows).items()}

    def in_force(self, epoch: int, epochs: int) -> bool:
        """Whether the ramp has ended by the end of an epoch."""
        return epoch * self.epoch_steps >= self.ramp_steps

    def _mask(self, shadows: Mapping[str, Tensor]) -> None:
        """Prune the lowest scores, as many as the ramp asks for now."""
        done = min(self._steps / self.ramp_steps, 1.0)
        flat = {
            name: (shadow.abs() if self.scores is None else self.scores[name]).flatten()
            for name, shadow in shadows.items()
        }
        together = torch.cat(list(flat.values())) if flat else torch.zeros(0)
        pruned = round(self.sparsity * (1 - (1 - done) ** 3) * together.numel())
        keep = torch.ones_like(together, dtype=torch.bool)
        keep[together.argsort(stable=True)[:pruned]] = False
        for (name, shadow), own in zip(
            shadows.items(), keep.split([len(own) for own in flat.values()]), strict=True
        ):
            self.masks[name] = own.view(shadow.shape)
