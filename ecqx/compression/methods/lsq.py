"""LSQ: the step of each tensor is trained with the network; with a price of code length, too.

Source: Esser et al. [esser2020lsq], eq. 1 to 3; the price is that of ECQ [becking2021ecqx], eq. 5.
Deviations: see ``ecqx.compression.assignment.learned_steps``.
"""

from __future__ import annotations

from dataclasses import dataclass

from ecqx.compression.assignment.grid import N_LEVELS
from ecqx.compression.assignment.learned_steps import LearnedSteps
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
class LSQ:
    """Nearest level, on a grid whose step is trained at ``share`` of the network's rate.

    ``initial`` names the codes that training starts from, see :mod:`ecqx.compression.obs.initial`.
    """

    levels: int = parameter(16, label="levels per weight")
    share: float = parameter(0.1, role="variant", label="share: rate of the steps")
    initial: str = parameter("nearest", words="from {} codes")

    def __post_init__(self):
        check_range("levels", self.levels, *N_LEVELS)
        check_range("share", self.share, 0.0, 10.0)
        check_choice("initial", self.initial, INITIAL)

    def compress(self, model, task, rng, penalty: Penalty | None = None) -> Compressed:
        """See :class:`ecqx.compression.contract.Method`."""
        return self._trained(model, task, rng, penalty, 0.0)

    def _trained(self, model, task, rng, penalty: Penalty | None, lam: float) -> Compressed:
        weights = quantizable(model)
        assigner = LearnedSteps(weights, levels=self.levels, lam=lam, share=self.share)
        start_from(self.initial, model, assigner.grids, task, rng)
        return train_quantized(model, task, assigner, penalty)


@dataclass(frozen=True)
class RateAwareLSQ(LSQ):
    """LSQ in which a level's cost is its squared distance and ``lam`` times its code length."""

    lam: float = parameter(0.1, label="λ: weight of the entropy term")

    def __post_init__(self):
        super().__post_init__()
        check_range("lam", self.lam, 0.0, 1.0)

    def compress(self, model, task, rng, penalty: Penalty | None = None) -> Compressed:
        """See :class:`ecqx.compression.contract.Method`."""
        return self._trained(model, task, rng, penalty, self.lam)
