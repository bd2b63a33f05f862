"""Distillation into a narrower student; WCAM's first route.

Source and deviations: see ``ecqx.compression.methods.distil``, where it is part of the library.
"""

from ecqx.compression.methods.distil import Distil as Method

__all__ = ["Method"]
