"""Widths of a network that is narrower, or wider, than the published one."""

from __future__ import annotations

import math
from collections.abc import Sequence


def scaled(widths: Sequence[int], factor: float) -> tuple[int, ...]:
    """Numbers of channels or units times a factor, rounded, at least one each.

    Raises
    ------
    ValueError : the factor is not above zero.
    """
    if not 0 < factor < math.inf:
        raise ValueError(f"width is {factor}, expected a number above 0")
    return tuple(max(1, round(width * factor)) for width in widths)
