"""Rate-aware LSQ: learned steps, and levels that cost their code length.

Source and deviations: see ``ecqx.compression.methods.lsq``, where it is part of the library.
"""

from ecqx.compression.methods.lsq import RateAwareLSQ as Method

__all__ = ["Method"]
