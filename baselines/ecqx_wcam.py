"""ECQx with WCAM: relevance decides which weights may be zero, a penalty preserves the maps.

Source: ECQx [becking2021ecqx], section 4.2, for the assignment; WCAM [park2020wcam], for the
penalty on changed maps. Deviation: the two papers do not combine them; the first's assignment and
the second's penalty are as in ``ecqx.compression.methods.ecqx`` and
``ecqx.compression.methods.wcam``. The controls ``gradient`` and ``fisher`` see the gradient of the
whole loss, penalty included.
"""

from dataclasses import dataclass

from ecqx.compression.methods.ecqx import ECQx
from ecqx.compression.methods.wcam import WCAM


@dataclass(frozen=True)
class Method(WCAM, ECQx):
    """ECQx trained with a penalty on changed attribution maps."""
