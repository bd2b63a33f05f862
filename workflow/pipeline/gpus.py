"""How many GPUs there are, here or on a cluster, and which one a job takes; no torch."""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from pipeline.planning import command_line

_TOOL = "nvidia-smi"
_VISIBLE = "CUDA_VISIBLE_DEVICES"
TOLD = "ECQX_GPU"  # the variable by which jobs know whether each of them takes a GPU
_ABOUT = 0.9  # of the most free memory: that of a GPU whose jobs have just begun
_claims: list[IO] = []  # held until the process ends


@functools.cache
def count() -> int:
    """GPUs that a process started now would see; those that CUDA_VISIBLE_DEVICES hides are not.

    Nothing is seen of a machine without NVIDIA's ``nvidia-smi``.
    """
    present = [line for line in _ask(_TOOL, "--list-gpus") if line.startswith("GPU ")]
    visible = _visible()
    return len(present) if visible is None else min(len(visible), len(present))


def jobs_are_here() -> bool:
    """Whether Snakemake runs jobs on this machine, not through the executor of a cluster."""
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

    return ExecutorPluginRegistry().get_plugin(command_line.executor()).common_settings.local_exec


def lacking() -> str:
    """One line if jobs that ask for a GPU would be refused by Slurm, because it knows of none.

    It would refuse each of them, after the jobs before them have run.
    """
    if command_line.executor() != "slurm" or not (nodes := _ask("sinfo", "--noheader", "-o", "%G")):
        return ""
    if any(re.match(r"(.*,)?gpu\b", node) for node in nodes):
        return ""
    return (
        "gpu: Slurm knows of no GPU (`sinfo -o %G` names no GRES gpu), and would refuse jobs that "
        "ask for one; leave out the resource gpu, or set jobs_per_gpu: 0"
    )


def tell_jobs(one_each: bool) -> None:
    """Let processes that this one starts know whether each of their jobs takes a GPU."""
    os.environ[TOLD] = str(int(one_each))


def told() -> int:
    """How many GPUs a job takes, as the process that planned it has said: 0 or 1."""
    return int(os.environ[TOLD])


def take_one() -> None:
    """Let this process see one GPU alone; to be called before CUDA starts.

    Of those that CUDA_VISIBLE_DEVICES names, or else of those with about the most free memory, it
    is the one that the fewest other jobs on this machine have taken. Memory is asked of
    ``nvidia-smi``: CUDA would put a context of hundreds of megabytes on each GPU that it looks at.
    Where neither names any, nothing is changed.
    """
    visible = _visible()
    if visible is None:
        free = _free_memory()
        visible = [uuid for uuid, size in free.items() if size >= _ABOUT * max(free.values())]
    if visible:
        os.environ[_VISIBLE] = _least_taken(visible)


def _least_taken(names: Sequence[str]) -> str:
    """One of the names, at least one, that the fewest processes hold; this one holds it from now.

    A process holds the first lock of a name that no other one does. Jobs that start together would
    find the same free memory, and their process numbers may all be even.
    """
    folder = Path(tempfile.gettempdir())
    for turn in itertools.count():
        for name in names:
            lock = f"ecqx-{os.getuid()}-{name.replace('/', '-')}-{turn}.lock"
            claim = (folder / lock).open("a")
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                claim.close()
            else:
                _claims.append(claim)
                return name


def _visible() -> list[str] | None:
    """What CUDA_VISIBLE_DEVICES names; None if it is not set."""
    value = os.environ.get(_VISIBLE)
    if value is None:
        return None
    named = [name.strip() for name in value.split(",")]
    # CUDA ignores what follows the first invalid entry; -1 is the usual way to hide all
    shown = named[: named.index("-1")] if "-1" in named else named
    return [name for name in shown if name]


def _free_memory() -> dict[str, int]:
    """Free memory of each GPU in MiB, by its UUID; where it is not known there is no entry."""
    rows = [line.split(",") for line in _ask(_TOOL, "--query-gpu=uuid,memory.free",
                                             "--format=csv,noheader,nounits")]  # fmt: skip
    pairs = [(row[0].strip(), row[1].strip()) for row in rows if len(row) == 2]
    return {uuid: int(size) for uuid, size in pairs if size.isdigit()}


def _ask(*command: str) -> list[str]:
    """Lines that a command writes; none if it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [] if done.returncode else done.stdout.splitlines()
