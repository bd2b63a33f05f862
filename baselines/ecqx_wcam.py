"""ECQx with WCAM: relevance decides which weights may be zero, a penalty preserves the maps.

Source and deviations: see ``ecqx.compression.methods.combined``, where it is part of the library.
"""

from ecqx.compression.methods.combined import ECQxWithWCAM as Method

__all__ = ["Method"]
