import sys
from pathlib import Path

import pytest
import torch

from ecqx.compression import peak_memory
from ecqx.compression.peak_memory import PeakMemory

MIB = 2**20
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux")


@on_linux
def test_an_allocation_is_seen_after_it_is_gone():
    memory = PeakMemory()
    before = memory.bytes()
    torch.ones(64 * MIB // 4)
    assert 60 * MIB < memory.bytes() - before < 100 * MIB


@on_linux
def test_earlier_work_does_not_count():
    first = PeakMemory()
    torch.ones(128 * MIB // 4)
    peak = first.bytes()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as error:
        pytest.skip(f"the mark cannot be reset here: {error}")
    assert PeakMemory().bytes() < peak - 100 * MIB


@on_linux
def test_without_a_mark_the_peak_of_the_process_is_given(monkeypatch, tmp_path):
    monkeypatch.setattr(peak_memory, "_PROCESS", tmp_path / "nothing")
    assert PeakMemory().bytes() >= 60 * MIB


def test_on_a_gpu_it_is_the_memory_of_the_gpu(monkeypatch):
    allocated = {0: 7, 1: 900}
    monkeypatch.setattr(
        torch.cuda, "reset_peak_memory_stats", lambda device: allocated.update({device.index: 80})
    )
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: allocated[device.index])
    memory = PeakMemory("cuda:1")
    assert memory.bytes() == 80
    allocated[1] = 120
    assert memory.bytes() == 120 and allocated[0] == 7


def test_elsewhere_nothing_is_known(monkeypatch):
    monkeypatch.setattr(peak_memory, "_LINUX", False)
    assert PeakMemory().bytes() is None
