"""What the scripts of all jobs share: their log, their settings, what they record of themselves."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from pipeline import gpus, own

if TYPE_CHECKING:
    import torch

_ROOT = str(Path(__file__).resolve().parents[3])
_VERSIONED = ("torch", "torchvision", "torchaudio", "zennit", "nncodec", "numpy")


def open_log(path: str | Path) -> Callable[[str], None]:
    """Send all output of this process to a file from here on, that of C++ code included.

    An exception that ends the process is written to the file and to the console.

    Returns
    -------
    A function that writes a line to the log and to the console that the job was started from.
    """
    console = os.fdopen(os.dup(2), "w", buffering=1)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    sys.stdout.reconfigure(line_buffering=True)

    def tell(line: str) -> None:
        print(line)
        print(line, file=console)

    def tell_failure(kind: type, error: BaseException, trace: TracebackType | None) -> None:
        tell("".join(traceback.format_exception(kind, error, trace)) + f"failed, see {path}")

    sys.excepthook = tell_failure
    return tell


def prepare(snakemake) -> torch.device:
    """Let results be the same bytes on every run, and own data and models be found by name.

    Returns
    -------
    The device to compute on: a GPU if the job was given one (its resource ``gpu``).

    Raises
    ------
    RuntimeError: the job was given a GPU that torch cannot use.
    """
    from ecqx.tasks.runtime import choose_device, limit_threads, make_deterministic

    limit_threads(1)
    make_deterministic()
    own.register(snakemake.config)
    gpu = bool(snakemake.resources.get("gpu", 0))
    if gpu:
        gpus.take_one()
    return choose_device(gpu)


def versions() -> dict[str, str]:
    """Versions of Python, this project and the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in _VERSIONED:
        found[package] = importlib.metadata.version(package)
    from ecqx import __version__

    return found | {"ecqx": __version__}


def git_commit() -> str | None:
    """The commit of this checkout, with ``-dirty`` if files differ from it; None outside of one."""
    describe = ["git", "-C", _ROOT, "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(describe, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None
