"""LSQ: learned step size quantization, the step of each tensor is trained with the network.

Source and deviations: see ``ecqx.compression.methods.lsq``, where it is part of the library.
"""

from ecqx.compression.methods.lsq import LSQ as Method

__all__ = ["Method"]
