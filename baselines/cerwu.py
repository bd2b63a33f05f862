"""CERWU: rounding column by column, with the bits of each level in its cost.

Source and deviations: see ``ecqx.compression.methods.obs``, where it is part of the library.
"""

from ecqx.compression.methods.obs import CERWU as Method

__all__ = ["Method"]
