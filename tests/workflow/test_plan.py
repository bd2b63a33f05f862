"""What a configuration plans, seen in dry runs: nothing is executed."""

import math
import os

import pytest
import yaml
from pipeline.planning import run_table

from tests.workflow.conftest import ROOT, SMOKE, job_counts

DEFAULT = yaml.safe_load((ROOT / "config/default.yaml").read_text())
METHODS, GRIDS = DEFAULT["methods"], DEFAULT["grids"]


def test_default_configuration(checkout):
    done = checkout.snakemake("--dry-run")
    assert done.returncode == 0, done.stdout
    seeds, tasks = len(DEFAULT["seeds"]), DEFAULT["tasks"]
    points = sum(len(run_table.expand_grid(GRIDS[method])) for method in METHODS)
    jobs_per_seed = sum(
        math.ceil(points / DEFAULT["task_settings"][task]["points_per_job"]) for task in tasks
    )
    assert job_counts(done.stdout) == {
        "check": 1,
        "prepare_data": len(tasks),
        "pretrain": len(tasks) * seeds * 2,  # every seed has an anchor of its own
        "reference": len(tasks) * seeds,
        "compress": jobs_per_seed * seeds,
        "evaluate": jobs_per_seed * seeds,
        "collect": 1,
        "make_tables": 1,
        "draw_figures": 1,
        "make_page": 1,
        "all": 1,
    }


def test_default_grids_are_wide_enough():
    points = {name: run_table.expand_grid(grid) for name, grid in GRIDS.items()}
    for method in METHODS:
        # the codec's two weights of the rate are two variants
        variants = {point.get("lambda_scale") for point in points[method].values()}
        assert 6 <= len(points[method]) / len(variants) <= 8, method
    for one, other in (("uniform", "uniform_ptq"), ("uniform", "wcam"), ("ecq", "ecqx"),
                       ("ecq", "ecq_wcam"), ("ecq", "ecqx_wcam")):  # fmt: skip
        assert points[one] == points[other]
    assert len(DEFAULT["seeds"]) >= 3


def test_real_data_are_compressed_at_the_points_of_the_default_configuration():
    real = yaml.safe_load((ROOT / "config/realdata.yaml").read_text())
    assert "methods" not in real  # those of the default
    assert set(real["grids"]) == {"allocate", "ecqx"}
    points = run_table.expand_grid(real["grids"]["ecqx"])
    assert points.keys() >= run_table.expand_grid(GRIDS["ecqx"]).keys()


def test_points_are_shared_out_to_jobs(checkout):
    smoke = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    points = sum(len(run_table.expand_grid(smoke["grids"][name])) for name in smoke["methods"])
    for size in (2, 7):
        checkout.write("few.yaml", f"task_settings: {{digits: {{points_per_job: {size}}}}}\n")
        shared = job_counts(checkout.snakemake("--dry-run", *SMOKE, "few.yaml").stdout)
        jobs = math.ceil(points / size) * len(smoke["seeds"])
        assert shared["compress"] == shared["evaluate"] == jobs


@pytest.mark.parametrize("target", ["tables", "figures", "page"])
def test_made_anew_from_tables_alone(checkout, target):
    """Nothing upstream is looked at, whether or not there is anything."""
    done = checkout.snakemake(target, "--dry-run")
    assert job_counts(done.stdout) == {target: 1}, done.stdout


def test_made_anew_from_no_tables_is_one_clear_line(checkout):
    done = checkout.snakemake("tables", "--cores", "1")
    assert done.returncode == 1
    assert "results/tables/runs.csv: no such file; run the workflow first" in done.stdout


@pytest.mark.parametrize(
    "arguments", [("--lint",), ("--dag",), ("--summary",), ("--unlock",), ("--dry-run",)]
)
def test_reading_the_workflow_starts_and_writes_nothing(checkout, monkeypatch, arguments):
    """Not even a process: one that is started would be this stand-in for Python."""
    tools = checkout.folder / "tools"
    tools.mkdir()
    for name in ("python", "python3"):
        (tools / name).write_text("#!/bin/sh\ntouch started\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    checkout.write("sitecustomize.py", WATCH)
    monkeypatch.setenv("PYTHONPATH", str(checkout.folder))
    before = {path for path in checkout.folder.rglob("*") if ".snakemake" not in path.parts}
    checkout.snakemake(*arguments)
    after = {path for path in checkout.folder.rglob("*") if ".snakemake" not in path.parts}
    assert {path for path in after - before if "__pycache__" not in path.parts} == set()


# Of a process that imports torch, or starts another one that is no part of Snakemake's own.
WATCH = """
import sys


class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "numba", "zennit"):
            open("started", "w").close()


sys.meta_path.insert(0, Watch())
"""


def test_lint(checkout):
    # environment.yml describes one environment for all rules, hence no conda directive in each
    lints = [
        line.strip()
        for line in checkout.snakemake("--lint").stdout.splitlines()
        if line.startswith("    * ") and "Specify a conda environment" not in line
    ]
    assert lints == []
