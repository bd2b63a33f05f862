"""How long the plan of many operating points takes, and how much memory.

    python -m benchmarks.planning [--points 10000] [--points-per-job 30]

A dry run of the workflow on one task, with as many points of ECQ, at ten seeds. Prints one JSON
line: points, jobs, seconds of processor time and of the clock, and the most memory that was
resident, of the whole process.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
SEEDS = 10
LEVELS = 25  # numbers of levels, from 3


def settings(points: int, points_per_job: int, folder: str) -> dict:
    """A configuration of about so many points, to be laid over the default one."""
    lams = max(1, round(points / SEEDS / LEVELS))
    grid = {
        "levels": list(range(3, 3 + LEVELS)),
        "lam": [round((place + 1) / (lams + 1), 6) for place in range(lams)],
    }
    return {
        "results_dir": folder,
        "seeds": list(range(SEEDS)),
        "tasks": ["digits"],
        "methods": ["ecq"],
        "task_settings": {"digits": {"points_per_job": points_per_job}},
        "grids": {"ecq": [grid]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--points-per-job", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        own = settings(options.points, options.points_per_job, folder)
        config = Path(folder) / "config.yaml"
        config.write_text(yaml.safe_dump(own), encoding="utf-8")
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "-n", "--cores", "2", "--configfile", str(config)],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        clock = time.perf_counter() - start
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    (grid,) = own["grids"]["ecq"]
    row = {
        "points": SEEDS * len(grid["levels"]) * len(grid["lam"]),
        "jobs": int(re.search(r"^total +(\d+)", done.stdout + done.stderr, re.MULTILINE)[1]),
        "processor_s": round(usage.ru_utime + usage.ru_stime, 1),
        "clock_s": round(clock, 1),
        "memory_mib": usage.ru_maxrss // 1024,
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
