"""Pruning at random, ramped, with quantization-aware training: the control of magnitude.

Source and deviations: see ``ecqx.compression.methods.prune``, where it is part of the library.
"""

from ecqx.compression.methods.prune import PruneRandom as Method

__all__ = ["Method"]
