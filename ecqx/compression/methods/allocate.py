"""Levels per layer under a budget of bytes: where the coder's bytes are spent best; no training.

Source: HAWQ-V2 [dong2020hawqv2], which chooses bits per layer by curvature
times error under a limit of the size. Deviations: sizes are those of the coder, not bits times
weights; each layer's candidates are those of CERWU [cerwu2025], at 3 to 63 levels, and errors count
in the metric that these are rounded in; the choice is exact; beside curvature, here of the
empirical Fisher information, the loss itself, relevance and two controls say what errors cost.
"""

from __future__ import annotations

from dataclasses import dataclass

from ecqx.compression.allocation import network
from ecqx.compression.allocation.sensitivity import NEEDS_RULES, SENSITIVITIES
from ecqx.compression.artefact import size
from ecqx.compression.contract import Compressed, check_choice, check_range, parameter
from ecqx.compression.obs.network import calibration_moments

_MOMENT_SAMPLES = 512  # as OPTQ and CERWU have them by default


@dataclass(frozen=True)
class Allocate:
    """CERWU with levels for each layer, so that the bitstream is ``ratio`` times smaller.

    ``sensitivity`` says what errors cost, measured on so many training ``samples``: see
    :func:`ecqx.compression.allocation.sensitivity.costs`. ``lam`` is the weight of the rate in each
    layer's rounding; 0 is OPTQ.
    """

    ratio: float = parameter(4.0, label="compression ratio asked for")
    lam: float = parameter(0.1, role="variant", label="λ: weight of the rate")
    sensitivity: str = parameter("loss", words="sensitivity {}")
    samples: int = parameter(128, role="variant", words="{} calibration inputs")

    def __post_init__(self):
        check_range("ratio", self.ratio, 1.0, 1000.0)
        check_range("lam", self.lam, 0.0, 1000.0)
        check_choice("sensitivity", self.sensitivity, SENSITIVITIES)
        check_range("samples", self.samples, 1, 1_000_000)

    def skip(self, model, task) -> str | None:
        """The layer that has no LRP rule, where LRP is asked for."""
        if self.sensitivity not in NEEDS_RULES:
            return None
        from ecqx.attribution.lrp import check_rules

        try:
            check_rules(model)
        except ValueError as error:
            return f"{error}; sensitivity: hessian needs no rules"
        return None

    def compress(self, model, task, rng) -> Compressed:
        """See :class:`ecqx.compression.contract.Method`; ``ValueError`` if out of reach."""
        moments = calibration_moments(model, task, _MOMENT_SAMPLES, rng)
        candidates = network.shared_candidates(model, moments, self.lam)
        costs = network.shared_costs(self.sensitivity, model, candidates, self.samples, task, rng)
        whole = size.full_precision_bytes(model)
        budget = int(whole / self.ratio)
        compressed = network.allocate(model, candidates, costs, budget)
        if compressed is None:
            smallest = candidates.sizes.argmin(axis=1)
            least = network.bitstream_size(model, candidates, smallest)
            raise ValueError(
                f"ratio: {self.ratio!r} asks for at most {budget} bytes, and the smallest that "
                f"levels can make of this network are {least}, expected at most {whole / least:.4g}"
            )
        return compressed
