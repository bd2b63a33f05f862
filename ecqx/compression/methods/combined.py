"""Quantization-aware training with a penalty on changed attribution maps.

Source: WCAM [park2020wcam], with its gamma = 100, for the penalty; ECQx [becking2021ecqx], eq. 4 to
6 (ECQ) and section 4.2, for the assignments. Deviations: the paper of WCAM matches maps while
distilling and pruning, matching them while quantizing is an adaptation, and no paper combines it
with an entropy constraint. Assignment and penalty are as in ``ecqx.compression.methods.uniform``,
``ecq``, ``ecqx`` and ``wcam``. ECQx's controls ``gradient`` and ``fisher`` see the gradient of the
whole loss, penalty included.
"""

from dataclasses import dataclass

from ecqx.compression.methods.ecq import ECQ
from ecqx.compression.methods.ecqx import ECQx
from ecqx.compression.methods.uniform import Uniform
from ecqx.compression.methods.wcam import WCAM


@dataclass(frozen=True)
class UniformWithWCAM(WCAM, Uniform):
    """Uniform quantization-aware training with a penalty on changed attribution maps."""


@dataclass(frozen=True)
class ECQWithWCAM(WCAM, ECQ):
    """ECQ trained with a penalty on changed attribution maps."""


@dataclass(frozen=True)
class ECQxWithWCAM(WCAM, ECQx):
    """ECQx trained with a penalty on changed attribution maps."""
