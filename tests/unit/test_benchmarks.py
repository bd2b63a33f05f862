"""The benchmarks run; what they measure is not tested here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_step_cost_prints_its_rows():
    command = ["benchmarks/step_cost.py", "--models", "mlp_gsc", "--pairs", "1", "--threads", "1"]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [row["method"] for row in rows] == ["ecq", "ecqx", "ecqx_every_4th"]
    assert all(row["ratio"] > 0 and row["threads"] == 1 and row["batch"] == 64 for row in rows)
    assert "peak memory beyond a plain step" in done.stdout
