"""Whether a job ended because the disk is full, and how that is said."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

FULL = "disk full"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_BY_TORCH = ("PytorchStreamWriter failed writing", "unexpected pos")  # torch.save keeps no errno


def is_full(error: BaseException) -> bool:
    """Whether an exception, or one that it came of, says that there is no space left."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if str(error) == FULL or any(text in str(error) for text in _BY_TORCH):
            return True
        error = error.__cause__ or error.__context__
    return False


def told(path: str | Path) -> str:
    """One line for a job whose log is at ``path``."""
    folder = os.path.abspath(Path(path).parent)
    left = shutil.disk_usage(folder).free >> 20
    return (
        f"no space left on the disk of {folder} ({left} MiB): make room and call again, "
        "nothing that was done is lost"
    )
