"""NNCodec: the codec's own rate-distortion-optimised trellis quantization, no training.

Source and deviations: see ``ecqx.compression.methods.nncodec``, where it is part of the library.
"""

from ecqx.compression.methods.nncodec import NNCodec as Method

__all__ = ["Method"]
