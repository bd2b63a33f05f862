"""Figures of a benchmark. Every function returns a Figure; none touches pyplot's global state.

Every one can be drawn for a page or for one column of a two-column page; see
:data:`ecqx.results.style.WIDTHS`.
"""

from ecqx.results.figures.consistency import (
    consistency_vs_size,
    faithfulness_vs_size,
    localisation_vs_size,
)
from ecqx.results.figures.controls import controls_of_relevance
from ecqx.results.figures.correlations import metric_correlations
from ecqx.results.figures.cost import training_cost
from ecqx.results.figures.gallery import gallery
from ecqx.results.figures.layers import layers
from ecqx.results.figures.matched import accuracy_vs_consistency
from ecqx.results.figures.ranks import ranks
from ecqx.results.figures.relevance import relevance_vs_magnitude
from ecqx.results.figures.sensitivity import sensitivity
from ecqx.results.figures.tradeoff import accuracy_vs_size, accuracy_vs_sparsity

__all__ = [
    "accuracy_vs_consistency",
    "accuracy_vs_size",
    "accuracy_vs_sparsity",
    "consistency_vs_size",
    "controls_of_relevance",
    "faithfulness_vs_size",
    "gallery",
    "layers",
    "localisation_vs_size",
    "metric_correlations",
    "ranks",
    "relevance_vs_magnitude",
    "sensitivity",
    "training_cost",
]
