"""The benchmarks run; what they measure is not tested here."""

import csv
import json
import re
import statistics
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


@pytest.mark.slow
def test_variance_writes_its_runs_and_prints_a_table(tmp_path):
    path = tmp_path / "runs.csv"
    counts = ["--pretraining-seeds", "2", "--compression-seeds", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.variance", path, "--task", "digits", *counts],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    seeds = [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]
    for method in ("uniform", "ecqx"):
        own = [row for row in rows if row["method"] == method]
        assert [(row["pretraining_seed"], row["compression_seed"]) for row in own] == seeds
        assert len({row["pearson"] for row in own}) == 4  # each seed makes another run
    for row in rows:
        change = float(row["accuracy"]) - float(row["accuracy_fp32"])
        assert float(row["accuracy_change"]) == pytest.approx(change, abs=1e-6)
    table = [line for line in done.stdout.splitlines() if line.startswith("| Pearson")]
    assert [line.split(" | ")[1] for line in table] == ["uniform", "ecqx", "ecqx minus uniform"]
    for line in table:
        assert sum(map(int, re.findall(r"(\d+)%", line))) == pytest.approx(100, abs=1)
    for method, line in zip(("uniform", "ecqx"), table, strict=False):
        means = [float(row["pearson"]) for row in rows if row["method"] == method]
        networks = means[:2], means[2:]
        between = statistics.variance([statistics.mean(own) for own in networks])
        within = statistics.mean(statistics.variance(own) for own in networks)
        spread = float(line.split(" | ")[6])
        assert spread == pytest.approx((between + within / 2) ** 0.5, abs=1e-4)
