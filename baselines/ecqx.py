"""ECQx: entropy-constrained quantization in which relevance decides which weights may be zero.

Source and deviations: see ``ecqx.compression.ecqx``, where the method is part of the library.
"""

from ecqx.compression.ecqx import ECQx as Method

__all__ = ["Method"]
