"""Pruning of whole filters at one stroke, then training; WCAM's second route.

Source and deviations: see ``ecqx.compression.methods.prune_routes``, where it is part of the
library.
"""

from ecqx.compression.methods.prune_routes import PruneStructured as Method

__all__ = ["Method"]
