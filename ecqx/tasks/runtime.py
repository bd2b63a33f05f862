"""Settings of a process, made once before any computation, so that results do not depend on it."""

from __future__ import annotations

import os

import torch


def limit_threads(n: int) -> None:
    """Let torch use ``n`` threads within one operation.

    The order of summation, and so the last bits of a result, depends on this number: with one
    thread per job the results are the same bytes however many jobs run beside each other.

    Raises
    ------
    ValueError : n below 1.
    """
    if n < 1:
        raise ValueError(f"number of threads is {n}, expected at least 1")
    torch.set_num_threads(n)


def make_deterministic() -> None:
    """Prefer algorithms that give the same result on every call, and say where there is none.

    And compute float32 as such. Affects GPUs; on the CPU torch is deterministic for a fixed number
    of threads.
    """
    # cuBLAS is deterministic only with a fixed workspace, and reads this when it starts
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # overwriting every new buffer with NaN, to expose reads of uninitialised memory, is slow
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    # TF32 keeps three digits of a float32: too few for explanations that are compared. Set through
    # the older of two interfaces, because using the newer makes reading the older raise.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def choose_device(gpu: bool) -> torch.device:
    """Where a process computes: on the first GPU that it sees if it was given one, else on the CPU.

    Raises
    ------
    RuntimeError : the process was given a GPU and torch cannot use any.
    """
    if not gpu:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise RuntimeError(
            "the job was given a GPU, but torch sees none (driver too old, none visible, or torch "
            "without CUDA?); jobs_per_gpu: 0 computes on the CPU"
        )
    return torch.device("cuda", 0)


def device_name(device: torch.device) -> str:
    """What computes there, for records: the name of the GPU, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
