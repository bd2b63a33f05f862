"""GPUs are used where there are any; there are none where the tests run."""

import subprocess
import sys

import pytest

from tests.workflow.conftest import SMOKE
from workflow import gpus

TWO = "GPU 0: NVIDIA H100 (UUID: GPU-1)\nGPU 1: NVIDIA H100 (UUID: GPU-2)\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that gives the machine an ``nvidia-smi`` with this output."""

    def pretend(listing, exit_code=0):
        tool = tmp_path / "tools/nvidia-smi"
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f"#!/bin/sh\nprintf '%b' {listing!r}\nexit {exit_code}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", str(tool.parent), prepend=":")

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gpus.count.cache_clear()
    yield pretend
    gpus.count.cache_clear()


@pytest.mark.parametrize(
    ("listing", "visible", "expected"),
    [
        (TWO, None, 2), (TWO, "0", 1), (TWO, "1,0", 2), (TWO, "", 0), (TWO, "-1", 0),
        (TWO, "0,-1,1", 1), (TWO, "GPU-2", 1), ("No devices found\n", None, 0), ("", "0", 0),
    ],
)  # fmt: skip
def test_visible_gpus_are_counted(machine, monkeypatch, listing, visible, expected):
    machine(listing)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.count() == expected


def test_a_driver_that_fails_counts_as_none(machine):
    machine(TWO, exit_code=9)
    assert gpus.count() == 0


def test_a_machine_without_the_tool_has_none(machine, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.count() == 0


@pytest.mark.parametrize(
    ("listing", "jobs_per_gpu", "arguments", "asked", "at_a_time"),
    [
        ("", 4, (), 0, None),
        (TWO, 3, (), 1, 6),
        (TWO, 0, (), 0, None),
        ("", 4, ("--resources", "gpu=8"), 1, 8),
    ],
)  # fmt: skip
def test_jobs_ask_for_a_share_of_a_gpu(
    checkout, machine, listing, jobs_per_gpu, arguments, asked, at_a_time
):
    machine(listing)
    checkout.write("gpu.yaml", f"jobs_per_gpu: {jobs_per_gpu}\n")
    checkout.append(
        "workflow/rules/pretrain.smk",
        'print("asks for", GPU, "of", GPU_JOBS.value if GPU_JOBS else None)\n',
    )
    target = "results/smoke/data/digits/data.pt"
    done = checkout.snakemake(target, "--dry-run", *SMOKE, "gpu.yaml", *arguments)
    assert done.returncode == 0, done.stdout
    assert f"asks for {asked} of {at_a_time}\n" in done.stdout


def test_planning_needs_no_torch():
    code = "import sys, workflow.gpus, workflow.own; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
