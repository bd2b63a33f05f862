"""How much memory a piece of work takes at most."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import sys
from pathlib import Path

import torch

_LINUX = sys.platform.startswith("linux")
_PROCESS = Path("/proc/self")


class PeakMemory:
    """Largest memory that this process took since the object was made, where it computes.

    On a GPU it is what the tensors on it took, the model and the data among them; what CUDA and the
    caches of torch take is not in it. Everywhere else it is the resident memory of the process.

    On Linux the kernel's high-water mark is reset when the object is made (``proc(5)``: 5 written
    to ``clear_refs``) and read when asked. It counts the whole process, with the libraries that
    are loaded by then and the data: what a machine needs to have, not what the work adds. Several
    objects at a time share the one mark: a later one hides from an earlier one what was before it.

    Where the mark cannot be reset (older kernels, some containers), it is that of the whole life
    of the process; elsewhere than on Linux nothing is known.

    Parameters
    ----------
    device : where the work computes
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        # What earlier work has freed is handed back first, or it would count again.
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        if not _LINUX:
            return
        with contextlib.suppress(OSError, AttributeError):  # glibc has it, other C libraries not
            ctypes.CDLL(None).malloc_trim(0)
        with contextlib.suppress(OSError):
            (_PROCESS / "clear_refs").write_text("5")

    def bytes(self) -> int | None:
        """The peak so far; None where it is not known."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        if not _LINUX:
            return None
        try:
            status = (_PROCESS / "status").read_text()
        except OSError:
            status = ""
        if match := re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE):
            return int(match[1]) * 1024
        import resource  # on Linux alone

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
