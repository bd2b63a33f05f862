"""The end of a job that takes too long, said in one line."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from collections.abc import Callable

_GRACE_S = 5.0  # after which compiled code that lets no Python run is ended all the same


def reason(limit_s: float) -> str:
    """What is said of a job that is ended."""
    return f"took longer than the limit of {limit_s:g} s"


def end_after(limit_s: float | None, tell: Callable[[str], None]) -> None:
    """Let this process end with a line to ``tell`` when the seconds are over; None for no limit.

    Where each thread was at that time goes to the log, which is standard error.
    """
    if limit_s is None:
        return

    def end() -> None:
        faulthandler.dump_traceback(sys.stderr)
        tell(f"{reason(limit_s)} (job_time_limit_s)")
        os._exit(1)

    faulthandler.dump_traceback_later(limit_s + _GRACE_S, exit=True)
    timer = threading.Timer(limit_s, end)
    timer.daemon = True
    timer.start()
