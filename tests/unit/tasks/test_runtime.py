import pytest
import torch

from ecqx.tasks import runtime


def test_limit_threads():
    before = torch.get_num_threads()
    try:
        runtime.limit_threads(2)
        assert torch.get_num_threads() == 2
        runtime.limit_threads(1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_limit_threads_refuses_none():
    with pytest.raises(ValueError, match="number of threads is 0"):
        runtime.limit_threads(0)


def test_make_deterministic(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.backends.cudnn.benchmark,
    )
    try:
        runtime.make_deterministic()
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
        assert not torch.backends.cudnn.benchmark
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.utils.deterministic.fill_uninitialized_memory = before[2]
        torch.backends.cudnn.benchmark = before[3]


def pretend(monkeypatch, free, pid=0):
    """A machine with GPUs of so much free memory."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(free))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(free))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (free[index], 100))
    monkeypatch.setattr(runtime.os, "getpid", lambda: pid)


def test_without_a_gpu_the_cpu_computes(monkeypatch):
    pretend(monkeypatch, [])
    assert runtime.choose_device(gpu=True) == torch.device("cpu")


def test_a_gpu_is_used_only_if_it_may_be(monkeypatch):
    pretend(monkeypatch, [80])
    assert runtime.choose_device(gpu=True) == torch.device("cuda", 0)
    assert runtime.choose_device(gpu=False) == torch.device("cpu")


@pytest.mark.parametrize(
    ("free", "pid", "index"),
    [([10, 80, 40], 5, 1), ([80, 80], 0, 0), ([80, 80], 1, 1), ([10, 79, 80], 7, 2)],
)
def test_processes_share_out_among_gpus(monkeypatch, free, pid, index):
    pretend(monkeypatch, free, pid)
    assert runtime.choose_device(gpu=True) == torch.device("cuda", index)
