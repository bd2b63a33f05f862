"""Levels per layer under a budget of bytes, chosen by what errors cost and what the coder takes.

Source and deviations: see ``ecqx.compression.methods.allocate``, where it is part of the library.
"""

from ecqx.compression.methods.allocate import Allocate as Method

__all__ = ["Method"]
