"""Which metrics of attributions there are, as they are declared where they are defined."""

from __future__ import annotations

import math

from ecqx.evaluation.complexity import COMPLEXITIES, Complexity
from ecqx.evaluation.consistency import METRICS, Metric
from ecqx.evaluation.localisation import LOCALISATIONS, Localisation


def measured() -> dict[str, Metric | Localisation | Complexity]:
    """All metrics by name: consistency, localisation, complexity, each in order of definition."""
    return METRICS | LOCALISATIONS | COMPLEXITIES


def lower_is_better() -> frozenset[str]:
    """Metrics of which less is better."""
    return frozenset(name for name, about in measured().items() if not about.higher_is_better)


def consistency() -> frozenset[str]:
    """Metrics that compare maps with those of full precision, which is itself perfect by them."""
    return frozenset(METRICS)


def localisation() -> frozenset[str]:
    """Metrics that compare maps with masks."""
    return frozenset(LOCALISATIONS)


def complexity() -> frozenset[str]:
    """Metrics of a map alone: more of it is neither closer to full precision nor more correct."""
    return frozenset(COMPLEXITIES)


# Ranges of the metrics, and of the gains of relevance, as they are defined; one that is not here
# may have any value.
_BOUNDS = {
    "cosine": (-1.0, 1.0),
    "pearson": (-1.0, 1.0),
    "spearman": (-1.0, 1.0),
    "ssim": (-1.0, 1.0),
    "topk_iou": (0.0, 1.0),
    "normalised_l2": (0.0, 2.0),
    "auc": (0.0, 1.0),
    "pointing_game": (0.0, 1.0),
    "relevance_mass": (0.0, 1.0),
    "relevance_rank": (0.0, 1.0),
    "gini": (0.0, 1.0),
    "entropy": (0.0, math.inf),
    "gain": (-1.0, 1.0),
    "evidence": (-2.0, 2.0),
}


def bounds(name: str) -> tuple[float, float]:
    """The least and the largest value that a metric can have; infinite where there is none."""
    return _BOUNDS.get(name, (-math.inf, math.inf))
