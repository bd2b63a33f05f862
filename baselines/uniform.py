"""Uniform quantization with quantization-aware training.

Source and deviations: see ``ecqx.compression.uniform``, where the method is part of the library.
"""

from ecqx.compression.uniform import Uniform as Method

__all__ = ["Method"]
