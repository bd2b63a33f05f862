"""ECQ: entropy-constrained quantization with quantization-aware training.

Source and deviations: see ``ecqx.compression.methods.ecq``, where it is part of the library.
"""

from ecqx.compression.methods.ecq import ECQ as Method

__all__ = ["Method"]
