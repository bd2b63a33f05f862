"""Settings of a process, made once before any computation, so that results do not depend on it."""

from __future__ import annotations

import os

import torch

_ABOUT = 0.9  # of the most free memory: processes that start together find the same


def limit_threads(n: int) -> None:
    """Let torch use ``n`` threads within one operation.

    The order of summation, and so the last bits of a result, depends on this number: with one
    thread per job the results are the same bytes however many jobs run beside each other.

    Raises
    ------
    ValueError: n below 1.
    """
    if n < 1:
        raise ValueError(f"number of threads is {n}, expected at least 1")
    torch.set_num_threads(n)


def make_deterministic() -> None:
    """Prefer algorithms that give the same result on every call, and say where there is none.

    Affects GPUs; on the CPU torch is deterministic for a fixed number of threads.
    """
    # cuBLAS is deterministic only with a fixed workspace, and reads this when it starts
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # would overwrite every new buffer with NaN to expose reads of uninitialised memory: slow
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False


def choose_device(gpu: bool) -> torch.device:
    """Where a process computes: on a GPU if it may and there is one, else on the CPU.

    Parameters
    ----------
    gpu : bool
        Whether the process may use one. Of several GPUs it takes the one with the most free memory,
        of those with about as much the one that its process number falls on.
    """
    if not (gpu and torch.cuda.is_available()):
        return torch.device("cpu")
    free = [torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count())]
    roomy = [index for index, size in enumerate(free) if size >= _ABOUT * max(free)]
    return torch.device("cuda", roomy[os.getpid() % len(roomy)])
