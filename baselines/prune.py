"""Magnitude pruning, ramped, with quantization-aware training.

Source and deviations: see ``ecqx.compression.methods.prune``, where it is part of the library.
"""

from ecqx.compression.methods.prune import Prune as Method

__all__ = ["Method"]
