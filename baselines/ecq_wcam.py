"""ECQ with WCAM: entropy-constrained quantization that preserves attribution maps.

Source: ECQx [becking2021ecqx], eq. 4 to 6, for the assignment; WCAM [park2020wcam], for the penalty
on changed maps. Deviation: the two papers do not combine them; the first's assignment and the
second's penalty are as in ``ecqx.compression.methods.ecq`` and ``ecqx.compression.methods.wcam``.
"""

from dataclasses import dataclass

from ecqx.compression.methods.ecq import ECQ
from ecqx.compression.methods.wcam import WCAM


@dataclass(frozen=True)
class Method(WCAM, ECQ):
    """ECQ trained with a penalty on changed attribution maps."""
