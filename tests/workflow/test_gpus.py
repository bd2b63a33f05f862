"""GPUs are used where there are any; there are none where the tests run."""

import os
import subprocess
import sys

import pytest
import yaml
from pipeline import gpus

from tests.workflow.conftest import ENVIRONMENT, ROOT, SMOKE

# An executor as clusters have one: the job reads the Snakefile again, in an environment that holds
# nothing but what Snakemake itself hands over.
ELSEWHERE = """
import os, subprocess
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    pass_envvar_declarations_to_cmd=True,
    auto_deploy_default_storage_provider=False,
    init_seconds_before_status_checks=0,
)


class Executor(RemoteExecutor):
    def run_job(self, job):
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH")}
        subprocess.run(self.format_job_exec(job), shell=True, env=kept, check=True)
        self.report_job_submission(SubmittedJobInfo(job))

    async def check_active_jobs(self, active_jobs):
        for job in active_jobs:
            self.report_job_success(job)
        return
        yield

    def cancel_jobs(self, active_jobs):
        pass
"""
SAYS = 'print("asks for", GPU, "of", GPU_JOBS.value if GPU_JOBS else None)\n'
PROFILE = ("--workflow-profile", "profiles/cluster")
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

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "to be put back")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
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
    checkout.append("workflow/rules/pretrain.smk", SAYS)
    done = checkout.snakemake("--dry-run", *SMOKE, "gpu.yaml", *arguments)
    assert done.returncode == 0, done.stdout
    assert f"asks for {asked} of {at_a_time}\n" in done.stdout


@pytest.fixture
def cluster(checkout, machine, monkeypatch):
    """A copy whose profile `cluster` runs jobs elsewhere; the machine it is called on has GPUs."""
    machine(TWO)
    monkeypatch.setenv("PYTHONPATH", str(checkout.folder))
    for folder in ("profiles/cluster", "snakemake_executor_plugin_elsewhere"):
        (checkout.folder / folder).mkdir()
    checkout.write("snakemake_executor_plugin_elsewhere/__init__.py", ELSEWHERE)
    checkout.write("profiles/cluster/config.yaml", "executor: elsewhere\njobs: 1\n")
    checkout.append("workflow/rules/pretrain.smk", SAYS)
    return checkout


@pytest.mark.parametrize(
    ("arguments", "asked", "at_a_time"),
    [
        (PROFILE, 0, None),
        (("--executor", "elsewhere", "--jobs", "1"), 0, None),
        ((*PROFILE, "--resources", "gpu=8"), 1, 8),
    ],
)
def test_gpus_of_the_machine_that_submits_do_not_count(cluster, arguments, asked, at_a_time):
    done = cluster.snakemake("--dry-run", *SMOKE, *arguments)
    assert done.returncode == 0, done.stdout
    assert f"asks for {asked} of {at_a_time}\n" in done.stdout


@pytest.mark.slow
def test_a_job_of_a_cluster_knows_that_it_was_given_a_gpu(cluster):
    cluster.append(
        "workflow/rules/pretrain.smk",
        "rule probe:\n"
        "    output: 'probe'\n"
        "    resources: gpu=GPU\n"
        "    run: open(output[0], 'w').write(str(resources.gpu))\n",
    )
    done = cluster.snakemake("probe", *SMOKE, *PROFILE, "--resources", "gpu=8")
    assert done.returncode == 0, done.stdout
    assert (cluster.folder / "probe").read_text() == "1"


@pytest.fixture
def taken(machine, monkeypatch, tmp_path):
    """A function that says what so many processes see that are at work at a time."""
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))

    def take(number, visible=None):
        seen = []
        for _ in range(number):
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
            if visible is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = visible
            gpus.take_one()
            seen.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
        return seen

    yield take
    gpus._claims.clear()


@pytest.mark.parametrize(
    ("listing", "seen"),
    [
        ("GPU-1, 10\nGPU-2, 80\nGPU-3, 40\n", ["GPU-2", "GPU-2", "GPU-2"]),
        ("GPU-1, 10\nGPU-2, 79\nGPU-3, 80\n", ["GPU-2", "GPU-3", "GPU-2"]),
        ("GPU-1, 0\nGPU-2, 0\n", ["GPU-1", "GPU-2", "GPU-1"]),
        ("GPU-1, [N/A]\nGPU-2, 5\n", ["GPU-2", "GPU-2", "GPU-2"]),
        ("GPU-1, [N/A]\n", [None, None, None]),
        ("", [None, None, None]),
    ],
)
def test_jobs_are_spread_over_gpus_with_free_memory(machine, taken, listing, seen):
    machine(listing)
    assert taken(3) == seen


@pytest.mark.parametrize(
    ("visible", "seen"),
    [
        ("3,5", ["3", "5", "3"]), ("MIG-7/1/0", ["MIG-7/1/0"] * 3), ("4,-1,5", ["4"] * 3),
        ("", [""] * 3), ("-1", ["-1"] * 3),
    ],
)  # fmt: skip
def test_jobs_are_spread_over_gpus_that_they_may_see(machine, taken, visible, seen):
    machine("GPU-1, 80\n")
    assert taken(3, visible) == seen


def test_a_gpu_is_free_again_when_its_job_has_ended(taken):
    code = (
        "import os, sys; from pipeline import gpus; gpus.tempfile.tempdir = sys.argv[1];"
        "gpus.take_one(); print(os.environ['CUDA_VISIBLE_DEVICES'])"
    )
    assert taken(1, "3,5") == ["3"]
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code, gpus.tempfile.gettempdir()],
            cwd=ROOT,
            env=ENVIRONMENT | {"CUDA_VISIBLE_DEVICES": "3,5"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == "5"


@pytest.mark.parametrize(("gpu", "expected"), [(0, "device: cpu"), (1, "was given a GPU, but")])
def test_a_job_does_not_compute_elsewhere_than_it_was_given(machine, gpu, expected):
    machine(TWO)
    code = (
        "from types import SimpleNamespace; from pipeline.jobs import computing;"
        f"given = SimpleNamespace(config={{'tasks': []}}, resources={{'gpu': {gpu}}});"
        "print('device:', computing.prepare(given))"
    )
    hidden = ENVIRONMENT | {"CUDA_VISIBLE_DEVICES": ""}  # also where the tests run on a GPU
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=hidden, capture_output=True, text=True
    )
    assert expected in done.stdout + done.stderr
    assert (done.returncode == 0) == (gpu == 0)


def test_tasks_that_fill_a_gpu_have_one_alone():
    for path in (ROOT / "config").glob("*.yaml"):
        config = yaml.safe_load(path.read_text())
        tasks = config.get("task_settings", {})
        models = [str(tasks.get(label, {}).get("model")) for label in config.get("tasks", [])]
        if any(model.endswith("_imagenet") for model in models):
            assert config["jobs_per_gpu"] == 1, path


@pytest.mark.parametrize(
    ("listing", "refused"),
    [
        ("(null)\n", True),
        ("gpu:a100:4(S:0-1)\n(null)\n", False),
        ("craynetwork:4,gpu:2\n", False),
        ("gpufree:1\n", True),
        ("", False),
    ],
)
def test_a_cluster_that_knows_of_no_gpu_is_told(monkeypatch, listing, refused):
    monkeypatch.setattr(gpus.command_line, "executor", lambda: "slurm")
    monkeypatch.setattr(gpus, "_ask", lambda *command: listing.splitlines())
    assert bool(gpus.lacking()) == refused
    monkeypatch.setattr(gpus.command_line, "executor", lambda: "local")
    assert gpus.lacking() == ""


def test_planning_needs_no_torch():
    code = "import sys, pipeline.gpus, pipeline.own; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
