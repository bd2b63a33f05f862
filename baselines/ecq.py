"""ECQ: entropy-constrained quantization with quantization-aware training.

Source and deviations: see ``ecqx.compression.ecq``, where the method is part of the library.
"""

from ecqx.compression.ecq import ECQ as Method

__all__ = ["Method"]
