"""How long tables, figures and the page of made-up results take.

    python -m benchmarks.presenting [--runs 360] [--targets tables figures page]

Makes results of so many runs, with all explainers and metrics of a full evaluation, and calls the
workflow for each target by itself, as a user does. Prints one JSON line per target: seconds of
processor time, which other work on the machine hardly lengthens, and of the clock; both with the
start of Snakemake and of the job.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import make_results

ROOT = Path(__file__).resolve().parents[1]


def spent(command: list[str]) -> tuple[float, float]:
    """Seconds of processor time and of the clock of a command that has to succeed."""

    def processor() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    begin, start = processor(), time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return processor() - begin, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=360)
    parser.add_argument("--targets", nargs="+", default=["tables", "figures", "page"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_results.write(Path(folder) / "tables", options.runs)
        config = Path(folder) / "config.yaml"
        config.write_text(f"results_dir: {folder}\n", encoding="utf-8")
        snakemake = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", str(config)]
        for target in options.targets:
            processor, clock = spent([*snakemake, "--", target])
            row = {"target": target, "runs": options.runs}
            row |= {"processor_s": round(processor, 1), "clock_s": round(clock, 1)}
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
