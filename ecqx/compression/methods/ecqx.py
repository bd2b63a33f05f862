"""ECQx: entropy-constrained quantization in which relevance decides which weights may be zero.

Source: ECQx [becking2021ecqx], section 4.2. The defaults are the paper's: relevance may add zeros
to those of ECQ (``window: above``) and is measured at every step; in the authors' code it may only
take zeros away (``window: below``). Deviations: beta is found in closed form instead of by trial;
weights without any relevance become zero in the order of their entropy-constrained cost, so that
the sparsity stays inside its window; ``lam`` is relative per tensor as in ``ecq``.
"""

from dataclasses import dataclass

from ecqx.attribution.lrp import BATCH_NORM, COMPOSITES, check_rules
from ecqx.attribution.weight_relevance import STARTS
from ecqx.compression.assignment.assigners import RelevanceConstrained
from ecqx.compression.assignment.by_relevance import WINDOWS, Window
from ecqx.compression.assignment.grid import N_LEVELS
from ecqx.compression.assignment.relevance_sources import (
    NEEDS_RULES,
    RELEVANCE_OF,
    SOURCES,
    relevance_source,
)
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
class ECQx:
    """As ECQ, with the cost of zero multiplied by rho * relevance^beta.

    The sparsity of each tensor stays within ``p`` of the one ECQ would give it, on the side that
    ``window`` names. ``relevance`` is LRP or a control, see
    ``ecqx.compression.assignment.relevance_sources``; ``relevance_of`` names the weights it belongs
    to; ``momentum`` smooths it over steps; ``relevance_interval`` measures it every so many steps;
    the rest is how LRP propagates. ``initial`` names the codes that training starts from, see
    :mod:`ecqx.compression.obs.initial`.
    """

    levels: int = parameter(16, label="levels per weight")
    lam: float = parameter(0.1, label="λ: weight of the entropy term")
    p: float = parameter(0.1, role="variant", label="p: window of sparsity")
    window: str = "above"
    rho: float = parameter(2.0, role="variant", label="ρ: factor on the cost of zero")
    relevance: str = parameter("lrp", words="{}")
    momentum: float = parameter(0.1, role="variant")
    relevance_interval: int = parameter(1, role="variant", words="relevance every {} steps")
    relevance_of: str = parameter("quantized", words="relevance of {} weights")
    composite: str = "epsilon_plus_flat"
    batch_norm: str = "merge"
    start: str = parameter("output", words="LRP from {}")
    initial: str = parameter("nearest", words="from {} codes")

    def __post_init__(self):
        check_range("levels", self.levels, *N_LEVELS)
        check_range("lam", self.lam, 0.0, 1.0)
        check_range("p", self.p, 0.0, 1.0)
        check_choice("window", self.window, WINDOWS)
        check_range("rho", self.rho, 1.0, 1000.0)
        check_choice("relevance", self.relevance, SOURCES)
        check_range("momentum", self.momentum, 0.0, 0.999)
        check_range("relevance_interval", self.relevance_interval, 1, 1_000_000)
        check_choice("relevance_of", self.relevance_of, RELEVANCE_OF)
        check_choice("composite", self.composite, tuple(COMPOSITES))
        check_choice("batch_norm", self.batch_norm, BATCH_NORM)
        check_choice("start", self.start, STARTS)
        check_choice("initial", self.initial, INITIAL)

    def skip(self, model, task) -> str | None:
        """Relevance by LRP needs a rule for every layer."""
        if self.relevance not in NEEDS_RULES:
            return None
        try:
            check_rules(model)
        except ValueError as error:
            return f"{error}; relevance: gradient needs no rules"
        return None

    def compress(self, model, task, rng, penalty: Penalty | None = None) -> Compressed:
        """See :class:`ecqx.compression.contract.Method`."""
        source = relevance_source(
            self.relevance,
            relevance_of=self.relevance_of,
            composite=self.composite,
            batch_norm=self.batch_norm,
            start=self.start,
            rng=rng,
        )
        assigner = RelevanceConstrained(
            quantizable(model),
            source,
            levels=self.levels,
            lam=self.lam,
            window=Window(self.window, self.p),
            rho=self.rho,
            momentum=self.momentum,
            interval=self.relevance_interval,
        )
        start_from(self.initial, model, assigner.grids, task, rng)
        return train_quantized(model, task, assigner, penalty)
