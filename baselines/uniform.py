"""Uniform quantization with quantization-aware training.

Source and deviations: see ``ecqx.compression.methods.uniform``, where it is part of the library.
"""

from ecqx.compression.methods.uniform import Uniform as Method

__all__ = ["Method"]
