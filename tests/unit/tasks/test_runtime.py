import warnings

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
    precision = (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
    try:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            runtime.make_deterministic()
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
        assert not torch.backends.cudnn.benchmark
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = precision
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.utils.deterministic.fill_uninitialized_memory = before[2]
        torch.backends.cudnn.benchmark = before[3]


def test_a_gpu_is_used_only_if_it_was_given(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert runtime.choose_device(gpu=True) == torch.device("cuda", 0)
    assert runtime.choose_device(gpu=False) == torch.device("cpu")


def test_a_gpu_that_cannot_be_used_is_not_replaced_in_silence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert runtime.choose_device(gpu=False) == torch.device("cpu")
    with pytest.raises(RuntimeError, match="was given a GPU, but torch sees none.*jobs_per_gpu: 0"):
        runtime.choose_device(gpu=True)


def test_devices_have_names(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    assert runtime.device_name(torch.device("cpu")) == "cpu"
    assert runtime.device_name(torch.device("cuda", 1)) == "GPU 1"
