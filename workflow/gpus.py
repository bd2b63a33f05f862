"""How many GPUs there are, known without torch."""

from __future__ import annotations

import functools
import os
import subprocess

_LISTING = ("nvidia-smi", "--list-gpus")


@functools.cache
def count() -> int:
    """GPUs that a process started now would see; those that CUDA_VISIBLE_DEVICES hides are not.

    Nothing is seen of a machine without NVIDIA's ``nvidia-smi``.
    """
    try:
        done = subprocess.run(_LISTING, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    present = [line for line in done.stdout.splitlines() if line.startswith("GPU ")]
    if done.returncode or not present:
        return 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return len(present)
    named = [name.strip() for name in visible.split(",")]
    # CUDA ignores what follows the first invalid entry; -1 is the usual way to hide all
    shown = named[: named.index("-1")] if "-1" in named else named
    return min(len([name for name in shown if name]), len(present))
