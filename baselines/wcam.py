"""WCAM: attribution-preserving compression, here of uniform quantization-aware training.

Source and deviations: see ``ecqx.compression.methods.combined``, where it is part of the library.
"""

from ecqx.compression.methods.combined import UniformWithWCAM as Method

__all__ = ["Method"]
