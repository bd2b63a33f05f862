"""Uniform post-training quantization: every weight to its nearest level, no training.

Source and deviations: see ``ecqx.compression.methods.uniform_ptq``, a part of the library.
"""

from ecqx.compression.methods.uniform_ptq import UniformPTQ as Method

__all__ = ["Method"]
