"""One run at a time on a folder of results."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

_claims: list[int] = []  # held until the process ends, however that comes


def claim(results: Path) -> str:
    """Keep the folder of results for this process; what is in the way, or nothing.

    The lock is the kernel's, on the folder itself: it leaves nothing behind, and none is left by
    a process that was killed.
    """
    try:
        results.mkdir(parents=True, exist_ok=True)
        folder = os.open(results, os.O_RDONLY)
    except OSError as error:
        return f"results_dir: got {str(results)!r}, expected a folder to write to: {error.strerror}"
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        return (
            f"results_dir: another run is writing to {results}; wait until it has ended, or name "
            "another folder"
        )
    _claims.append(folder)
    return ""
