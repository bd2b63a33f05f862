"""WCAM: attribution-preserving compression, here of uniform quantization-aware training.

Source: WCAM [park2020wcam], with its gamma = 100. Deviation: the paper
matches attribution maps while distilling and pruning; matching them while quantizing is an
adaptation. What is matched, also in networks without convolutions: see
``ecqx.compression.methods.wcam``.
"""

from dataclasses import dataclass

from ecqx.compression.methods.uniform import Uniform
from ecqx.compression.methods.wcam import WCAM


@dataclass(frozen=True)
class Method(WCAM, Uniform):
    """Uniform quantization-aware training with a penalty on changed attribution maps."""
