"""OPTQ and CERWU: rounding that later weights make up for, without and with the rate; no training.

And CERWU with relevance in its metric.

Source: OPTQ [frantar2023optq], algorithm 1; CERWU [cerwu2025]: the same in a metric and
with a cost that take the code length of each level into account. Deviations: the rate is the one
that this suite's coder adapts to, with its contexts, in the order in which columns are rounded;
metrics are of the full-precision network's inputs for all layers, so that points share them; the
weight of the rate is in units of a layer's mean metric.
"""

from __future__ import annotations

from dataclasses import dataclass

from ecqx.compression.assignment.grid import N_LEVELS, STEP_RULES, fit_grid
from ecqx.compression.contract import (
    Compressed,
    check_choice,
    check_range,
    parameter,
    quantizable,
)
from ecqx.compression.obs.importance import SOURCES
from ecqx.compression.obs.network import calibration_moments, round_network
from ecqx.compression.training import snapshot


@dataclass(frozen=True)
class OPTQ:
    """Each column of a weight to its nearest level, its error made up for by the columns behind it.

    On a grid of so many ``levels``, whose step ``step_rule`` decides. ``samples`` training inputs
    say in which metric errors count.
    """

    levels: int = parameter(16, label="levels per weight")
    step_rule: str = parameter("least_squares", words="step by {}")
    samples: int = parameter(512, role="variant", words="{} calibration inputs")

    def __post_init__(self):
        check_range("levels", self.levels, *N_LEVELS)
        check_choice("step_rule", self.step_rule, STEP_RULES)
        check_range("samples", self.samples, 1, 1_000_000)

    def compress(self, model, task, rng) -> Compressed:
        return self._rounded(model, task, rng, 0.0)

    def _rounded(self, model, task, rng, lam: float, importance: str = "constant") -> Compressed:
        moments = calibration_moments(model, task, self.samples, rng, importance)
        grids = {
            name: fit_grid(weight, levels=self.levels, step_rule=self.step_rule).coded()
            for name, weight in quantizable(model).items()
        }
        return Compressed(snapshot(model, round_network(model, grids, moments, lam), grids))


@dataclass(frozen=True)
class CERWU(OPTQ):
    """OPTQ in which a level's cost is its error and ``lam`` times the bits it takes."""

    step_rule: str = parameter("percentile", words="step by {}")
    lam: float = parameter(0.1, label="λ: weight of the rate")

    def __post_init__(self):
        super().__post_init__()
        check_range("lam", self.lam, 0.0, 1000.0)

    def compress(self, model, task, rng) -> Compressed:
        return self._rounded(model, task, rng, self.lam)


@dataclass(frozen=True)
class RelevanceOBS(CERWU):
    """CERWU in whose metric errors count as much as ``relevance`` says the output matters.

    ``relevance`` is one of ``lrp``, ``gradient``, ``shuffled`` and ``constant``, which is CERWU,
    see :mod:`ecqx.compression.obs.importance`.
    """

    relevance: str = parameter("lrp", words="relevance {}")

    def __post_init__(self):
        super().__post_init__()
        check_choice("relevance", self.relevance, SOURCES)

    def skip(self, model, task) -> str | None:
        """The layer that has no LRP rule, where LRP is asked for."""
        if self.relevance not in ("lrp", "shuffled"):
            return None
        from ecqx.attribution.lrp import check_rules

        try:
            check_rules(model)
        except ValueError as error:
            return str(error)
        return None

    def compress(self, model, task, rng) -> Compressed:
        return self._rounded(model, task, rng, self.lam, self.relevance)
