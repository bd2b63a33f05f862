"""The points of a job, in a process of their own: one that dies takes a single point with it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.jobs import disk, time_limit

Work = Callable[[Any, str | None], None]

_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


class PointsStopped(Exception):
    """The work on the points ended for a reason that is not theirs, such as a full disk."""


def work_through(
    points: Sequence[Any],
    begin: Callable[[], Work],
    time_limit_s: float | None = None,
    begin_limit_s: float | None = None,
) -> None:
    """Work on points one after the other, in a child process.

    A child that dies at a point (killed for its memory, a crash in compiled code, an exit) is
    replaced by another one, which is told what happened to the point and goes on with the rest. It
    costs no more than one process as long as none dies, because the parent imports nothing.

    Parameters
    ----------
    points : what is worked on
    begin : called once in each child, loads what all points need; returns the function
        ``work(point, lost)``, with ``lost`` None, or the reason why the point was lost
    time_limit_s : seconds that one point may take before its process is ended; None for no limit
    begin_limit_s : the same of ``begin``

    Raises
    ------
    PointsStopped : when ``begin`` or ``work`` raised, or a lost point could not be recorded
    """
    at, lost = 0, None
    while at < len(points):
        reached, reason = _child(points, at, lost, begin, time_limit_s, begin_limit_s)
        if reason is None:
            return
        if reached is None or (reached == at and lost is not None):
            raise PointsStopped(reason)
        at, lost = reached, reason


def _child(
    points: Sequence[Any], first: int, lost: str | None, begin: Callable[[], Work],
    time_limit_s: float | None, begin_limit_s: float | None,
) -> tuple[int | None, str | None]:  # fmt: skip
    """One child; the point it was at when it died, and of what (None if it did not)."""
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _die_with(parent)
        _run(points, first, lost, begin, writing)
    os.close(writing)
    try:
        reached, late, raised = _follow(reading, time_limit_s, begin_limit_s)
        if late:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    except BaseException:  # whatever stops the parent stops the child
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.close(reading)
    if late:
        return reached, time_limit.reason(begin_limit_s if reached is None else time_limit_s)
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            raise PointsStopped(f"stopped by {signal.Signals(os.WTERMSIG(status)).name}")
        return reached, f"the process was ended by {signal.Signals(os.WTERMSIG(status)).name}"
    code = os.WEXITSTATUS(status)
    if code == _RAISED:
        raise PointsStopped(raised)
    return (None, None) if code == 0 else (reached, f"the process ended with exit code {code}")


_RAISED = 113  # exit code of a child whose own work, not the point's, raised


def _run(
    points: Sequence[Any], first: int, lost: str | None, begin: Callable[[], Work], writing: int
) -> None:
    """What the child does; it does not return."""
    code = 0
    try:
        work = begin()
        for index in range(first, len(points)):
            os.write(writing, json.dumps(index).encode() + b"\n")
            work(points[index], lost if index == first else None)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException as error:
        traceback.print_exc()
        raised = disk.FULL if disk.is_full(error) else f"{type(error).__name__}: {error}"
        os.write(writing, json.dumps(raised).encode() + b"\n")
        code = _RAISED
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _follow(
    reading: int, time_limit_s: float | None, begin_limit_s: float | None
) -> tuple[int | None, bool, str]:
    """What was heard of the child until it ended, or something took too long (then True).

    The last point that it began, and what its own work raised.
    """
    reached, raised, text, begun = None, "", b"", time.monotonic()
    while True:
        limit = begin_limit_s if reached is None else time_limit_s
        wait = None if limit is None else max(begun + limit - time.monotonic(), 0)
        ready, _, _ = select.select([reading], [], [], wait)
        if not ready:
            return reached, True, raised
        part = os.read(reading, 4096)
        if not part:
            return reached, False, raised
        text += part
        lines = text.split(b"\n")
        text = lines.pop()
        for told in map(json.loads, lines):
            if isinstance(told, str):
                raised = told
            else:
                reached, begun = told, time.monotonic()


def _die_with(parent: int) -> None:
    """Let the kernel end this process when its parent ends, however that comes."""
    with contextlib.suppress(OSError, AttributeError):  # elsewhere than on Linux
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel was told
        os._exit(_RAISED)
