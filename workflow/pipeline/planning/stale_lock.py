"""Snakemake's lock of the working directory outlives a killed run; this one does not.

The operating system releases an ``flock`` when its process ends, however it ends. Whoever holds
it therefore knows that a lock left by Snakemake belongs to nobody.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TextIO


def clear(folder: Path) -> TextIO | None:
    """Remove Snakemake's locks of a run that is no more; claim the folder for this process.

    Parameters
    ----------
    folder : Snakemake's ``.snakemake`` folder of the working directory.

    Returns
    -------
    the open file that holds the claim until it is closed or the process ends; None if another
    process is at work in the folder (nothing is removed then, and Snakemake will say so), or if
    the file system knows no ``flock``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    claim = (folder / "claim").open("w")
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        claim.close()
        return None
    for lock in (folder / "locks").glob("*"):
        lock.unlink(missing_ok=True)
    return claim
