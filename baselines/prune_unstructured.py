"""Pruning of single weights in rounds, with training in each; WCAM's third route.

Source and deviations: see ``ecqx.compression.methods.prune_routes``, where it is part of the
library.
"""

from ecqx.compression.methods.prune_routes import PruneUnstructured as Method

__all__ = ["Method"]
