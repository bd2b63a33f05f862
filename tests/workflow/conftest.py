"""Copies of the repository, with and without a finished smoke run, and Snakemake on them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "workflow", "ecqx", "baselines", "config", "profiles")
SMOKE = ("--configfile", "config/smoke.yaml")
# of a process that imports what jobs do
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'workflow'}"}


class Checkout:
    """A copy of the repository in a folder of its own."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.results = self.folder / "results/smoke"

    def snakemake(self, *arguments):
        """The finished process; output and errors together, as a user sees them."""
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def plan(self, *arguments):
        """Jobs that a dry run of the smoke configuration plans: rule -> count."""
        done = self.snakemake(*arguments, "--dry-run", *SMOKE)
        assert done.returncode == 0, done.stdout
        return job_counts(done.stdout)

    def write(self, path, text):
        (self.folder / path).write_text(text, encoding="utf-8")

    def append(self, path, text):
        with open(self.folder / path, "a", encoding="utf-8") as file:
            file.write(text)


def job_counts(output):
    """The job statistics that Snakemake prints: rule -> count, without the total."""
    tables = re.findall(r"^job +count\n-.*\n((?:[\w-]+ +\d+\n)+)", output, re.MULTILINE)
    rows = [row.split() for row in tables[0].splitlines()] if tables else []
    return {rule: int(count) for rule, count in rows if rule != "total"}


def copy_repository(folder):
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)
    return Checkout(folder)


@pytest.fixture
def checkout(tmp_path):
    """A fresh copy without results."""
    return copy_repository(tmp_path)


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory):
    """A copy with a finished smoke run on two cores, and the run's output. Leave it as it is."""
    checkout = copy_repository(tmp_path_factory.mktemp("smoke"))
    done = checkout.snakemake("--cores", "2", *SMOKE)
    assert done.returncode == 0, done.stdout[-5000:]
    checkout.output = done.stdout
    return checkout


@pytest.fixture
def finished(smoke_run, tmp_path):
    """A copy of the finished smoke run for changing."""
    folder = tmp_path / "finished"
    shutil.copytree(smoke_run.folder, folder)
    return Checkout(folder)
