"""OPTQ: rounding column by column, each error made up for by the columns behind it.

Source and deviations: see ``ecqx.compression.methods.obs``, where it is part of the library.
"""

from ecqx.compression.methods.obs import OPTQ as Method

__all__ = ["Method"]
