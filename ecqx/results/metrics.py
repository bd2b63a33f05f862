"""Which metrics of attributions there are, as they are declared where they are defined."""

from __future__ import annotations

from ecqx.evaluation.consistency import METRICS, Metric
from ecqx.evaluation.localisation import LOCALISATIONS, Localisation


def measured() -> dict[str, Metric | Localisation]:
    """All metrics by name, consistency before localisation, each in the order of definition."""
    return METRICS | LOCALISATIONS


def lower_is_better() -> frozenset[str]:
    """Metrics of which less is better."""
    return frozenset(name for name, about in measured().items() if not about.higher_is_better)


def localisation() -> frozenset[str]:
    """Metrics that compare maps with ground-truth masks; all others measure consistency."""
    return frozenset(LOCALISATIONS)
