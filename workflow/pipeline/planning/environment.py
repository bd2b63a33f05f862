"""Environment variables that all jobs inherit from the process that starts them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

ATTEMPTS = "ECQX_ATTEMPTS"  # what the plan has found out about receipts, for jobs that plan again
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


def tell_attempts(attempts: Mapping[str, int]) -> None:
    """Let jobs that read the workflow again choose the same receipts, see ``Plan.attempts``."""
    os.environ[ATTEMPTS] = json.dumps(attempts)


def told_attempts() -> dict[str, int]:
    """What :func:`tell_attempts` told."""
    return json.loads(os.environ[ATTEMPTS])
