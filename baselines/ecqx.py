"""ECQx: entropy-constrained quantization in which relevance decides which weights may be zero.

Source and deviations: see ``ecqx.compression.methods.ecqx``, where it is part of the library.
"""

from ecqx.compression.methods.ecqx import ECQx as Method

__all__ = ["Method"]
