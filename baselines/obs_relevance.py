"""CERWU with relevance in its metric: errors count as much as the output that they change matters.

Source and deviations: see ``ecqx.compression.methods.obs``, where it is part of the library.
"""

from ecqx.compression.methods.obs import RelevanceOBS as Method

__all__ = ["Method"]
