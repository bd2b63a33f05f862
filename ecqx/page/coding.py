"""Arrays as text in a page."""

from __future__ import annotations

import base64

import numpy as np


def base64_of(array: np.ndarray) -> str:
    """The bytes of an array in C order, as base64."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
