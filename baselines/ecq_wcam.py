"""ECQ with WCAM: entropy-constrained quantization that preserves attribution maps.

Source and deviations: see ``ecqx.compression.methods.combined``, where it is part of the library.
"""

from ecqx.compression.methods.combined import ECQWithWCAM as Method

__all__ = ["Method"]
