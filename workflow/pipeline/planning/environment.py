"""Environment variables that all jobs inherit from the process that starts them."""

from __future__ import annotations

import os
from pathlib import Path

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def prepare(root: Path) -> None:
    """Let jobs import the checkout at ``root``, compute in one thread and draw without a screen.

    The order of summation, and with it the last bits of a result, depends on the number of
    threads; it must not depend on how many jobs run beside each other.
    """
    paths = [str(root), str(root / "workflow"), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    for variable in _THREADS:
        os.environ[variable] = "1"
    os.environ["MPLBACKEND"] = "agg"
