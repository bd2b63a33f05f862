"""What jobs that compute share: their device, and what they record of their circumstances."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import gpus, own

if TYPE_CHECKING:
    import torch

_ROOT = str(Path(__file__).resolve().parents[3])
_VERSIONED = ("torch", "torchvision", "torchaudio", "zennit", "nncodec", "numpy")


def prepare(snakemake) -> torch.device:
    """Let results be the same bytes on every run, and own data and models be found by name.

    Returns
    -------
    The device to compute on: a GPU if the job was given one (its resource ``gpu``).

    Raises
    ------
    RuntimeError : the job was given a GPU that torch cannot use.
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
    """The commit of this checkout, with ``-dirty`` if files differ from it or are not part of it.

    None outside of a repository.
    """
    commit = _git("describe", "--always", "--abbrev=40")
    if commit is None:
        return None
    # a method of one's own is a file that git does not know
    changed = _git("status", "--porcelain", "--untracked-files=normal")
    return commit + ("-dirty" if changed else "")


def _git(*arguments: str) -> str | None:
    """What git prints; None if it cannot say."""
    try:
        done = subprocess.run(["git", "-C", _ROOT, *arguments], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
