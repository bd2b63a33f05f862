"""The workflow on a Slurm cluster has the bytes of a local run, whatever becomes of its jobs."""

import csv
import re
import shutil
import subprocess
import sys
import tempfile
import time

import pytest
import yaml

from tests.workflow.conftest import SMOKE, copy_repository
from tests.workflow.same_results import differing
from tests.workflow.slurm_cluster import Cluster, available

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not available(), reason="no Slurm")]

# A method that, the first time, waits for what becomes of its job, and says which one that is.
BASELINE = '''"""Meets with an accident, once. For the test of the workflow on a cluster."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from ecqx.compression.contract import Compressed, Quantized, quantizable


@dataclass(frozen=True)
class Method:
    accident: str = "none"

    def compress(self, model, task, rng):
        begun = Path(f"{self.accident}.begun")
        if not begun.exists():
            begun.write_text(os.environ["SLURM_JOB_ID"])
            occupied = b"x" * 2_500_000_000 if self.accident == "memory" else b""
            time.sleep(600)
            del occupied
        weights = quantizable(model)
        tensors = {
            name: Quantized((tensor / 0.1).round().int(), 0.1) if name in weights else tensor
            for name, tensor in model.state_dict().items()
        }
        return Compressed(tensors, [{"epoch": 1, "train_loss": 0.5}], 1)
'''
ACCIDENTS = ["cancelled", "memory", "time"]
CONFIG = {
    "seeds": [0],
    "methods": ["accident"],
    "grids": {"accident": [{"accident": ACCIDENTS}]},
    "task_settings": {"digits": {"pretraining": {"epochs": 1}, "points_per_job": 1}},
}


@pytest.fixture(scope="module")
def cluster():
    folder = tempfile.mkdtemp(prefix="slurm-", dir="/tmp")  # a socket has a name of 100 characters
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


def prepared(folder):
    folder.mkdir()
    checkout = copy_repository(folder)
    checkout.write("baselines/accident.py", BASELINE)
    checkout.write("accident.yaml", yaml.safe_dump(CONFIG))
    return checkout


def call(*arguments):
    """As README says, and with a quicker look at what became of jobs."""
    return [
        sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm", *arguments,
        "--slurm-init-seconds-before-status-checks", "1",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def run(cluster, tmp_path_factory):
    """A run in which a job is cancelled, one takes too much memory and one too much time."""
    checkout = prepared(tmp_path_factory.mktemp("cluster") / "checkout")
    profile = checkout.folder / "profiles/slurm/config.yaml"
    settings = yaml.safe_load(profile.read_text())
    settings["default-resources"]["slurm_partition"] = "other"
    profile.write_text(yaml.safe_dump(settings))
    output = checkout.folder / "output"
    with open(output, "w") as file:
        running = subprocess.Popen(
            call("collect", *SMOKE, "accident.yaml"), cwd=checkout.folder, env=cluster.environment,
            stdout=file, stderr=file,
        )  # fmt: skip
    commands = {
        "cancelled": ("scancel", "{}"),
        "time": ("scontrol", "update", "JobId={}", "TimeLimit=1"),
    }
    end = time.monotonic() + 1200
    try:
        while running.poll() is None:
            assert time.monotonic() < end, output.read_text()
            for accident in list(commands):
                begun = checkout.folder / f"{accident}.begun"
                if begun.exists() and (job := begun.read_text()):
                    cluster.ask(*(part.format(job) for part in commands.pop(accident)))
            time.sleep(0.2)
    finally:
        running.terminate()
        running.wait()
    checkout.code, checkout.output = running.returncode, output.read_text()
    checkout.jobs = cluster.ask("squeue", "--states=all", "--noheader", "--format=%i|%T|%P")
    return checkout


def test_what_a_job_met_with_is_told_and_it_is_run_again(run):
    assert run.code == 0, run.output
    assert not (set(ACCIDENTS) - {path.stem for path in run.folder.glob("*.begun")})
    for told in (
        r"JOB \d+ ON \S+ CANCELLED AT \S+ \*",
        "DUE TO TIME LIMIT",
        "exceeded memory limit",
    ):
        assert re.search(told, run.output), told
    assert run.output.count("Trying to restart job") == 3
    with open(run.results / "tables/runs.csv", newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["ok"] * 3


def test_points_are_compressed_and_measured_by_one_job_of_the_partition_that_is_set(run):
    jobs = [line.split("|") for line in run.jobs.splitlines()]
    # data, two networks, the reference; three shares, each of them twice
    assert len(jobs) == 4 + 2 * 3
    assert {partition for _, _, partition in jobs} == {"other"}


def test_the_results_are_those_of_a_local_run(run, tmp_path):
    local = prepared(tmp_path / "local")
    for accident in ACCIDENTS:
        local.write(f"{accident}.begun", "before")
    done = local.snakemake("collect", "--cores", "2", *SMOKE, "accident.yaml")
    assert done.returncode == 0, done.stdout
    assert differing(run.results, local.results) == []


def test_gpus_that_the_cluster_does_not_have_are_refused_in_one_line(cluster, checkout):
    done = subprocess.run(
        call("--resources", "gpu=1", *SMOKE), cwd=checkout.folder, env=cluster.environment,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("gpu: Slurm knows of no GPU (`sinfo -o %G`")
