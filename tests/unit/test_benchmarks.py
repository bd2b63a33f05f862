"""The benchmarks run; what they measure is not tested here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_step_cost_prints_its_rows():
    command = ["-m", "benchmarks.step_cost", "--models", "mlp_gsc"]
    done = subprocess.run(
        [sys.executable, *command, "--pairs", "1", "--threads", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [row["method"] for row in rows] == ["ecq", "ecqx", "ecqx_every_4th"]
    assert all(row["ratio"] > 0 and row["threads"] == 1 and row["batch"] == 64 for row in rows)
    assert "peak memory beyond a plain step" in done.stdout


@pytest.mark.slow
def test_explainer_cost_prints_its_rows():
    names = ["excitation_backprop", "rap"]
    command = ["-m", "benchmarks.explainer_cost", "--explainers", *names]
    done = subprocess.run(
        [sys.executable, *command, "--pairs", "1", "--threads", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [row["explainer"] for row in rows] == names
    assert all(row["ratio"] > 0 and row["seconds"] > 0 and row["samples"] == 256 for row in rows)
    assert rows[0]["quantus_ratio"] > 0
    assert rows[1]["quantus_ratio"] is None  # zennit has no RAP
