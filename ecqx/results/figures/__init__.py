"""Figures of a benchmark. Every function returns a Figure; none touches pyplot's global state."""

from ecqx.results.figures.attributions import consistency_vs_size, localisation_vs_size
from ecqx.results.figures.gallery import gallery
from ecqx.results.figures.tradeoff import accuracy_vs_size, accuracy_vs_sparsity

__all__ = [
    "accuracy_vs_size",
    "accuracy_vs_sparsity",
    "consistency_vs_size",
    "gallery",
    "localisation_vs_size",
]
