"""One signal to Snakemake alone ends all that it started."""

from __future__ import annotations

import contextlib
import signal
import threading

import psutil

_PATIENCE_S = 10.0  # for what does not end by itself, such as compiled code in a long loop


def end_all_on_signals() -> None:
    """Let SIGTERM and SIGINT stop the jobs that run on this machine, and then this process.

    To be called in the main thread when Snakemake has set its own handler, which waits for them.
    Ctrl-C in a terminal reaches the jobs as well; a signal from elsewhere (`kill`, a supervisor)
    reaches this process alone. Jobs on a cluster are cancelled by Snakemake.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)


def _end(number: int, frame: object) -> None:
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    started = psutil.Process().children(recursive=True)
    _send(started, signal.SIGTERM)
    late = threading.Timer(_PATIENCE_S, _send, (started, signal.SIGKILL))
    late.daemon = True
    late.start()
    raise KeyboardInterrupt


def _send(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        # psutil knows a new process of the same number from the one that was started
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
