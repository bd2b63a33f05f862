"""Where the processor time of a run went, and how well it spreads over cores.

    python -m benchmarks.schedule RESULTS [--cores 2 8]

RESULTS is the folder of a finished run. Its jobs come from the plan of the configuration that it
holds, and what each took from ``benchmarks/`` in it: processor time, so that other work on the
machine does not count. Prints what each stage took, the longest chain of jobs of which each waits
for the one before, relative to an equal share of all work for each core, and the time and use of
cores if a core that is free always took the next job of the plan that can begin.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "workflow"))  # where the plan is

from pipeline.planning.plan import Job, Plan  # noqa: E402


def seconds_of(results: Path, job: Job) -> float:
    """Processor time of a job, s; of all attempts, where it was resumed.

    Raises
    ------
    ValueError : there is no record of it.
    """
    folder = results / "benchmarks"
    pattern = f"{job.key}-*.tsv" if job.parts else f"{job.key}.tsv"
    found = 0.0
    for path in sorted(folder.glob(pattern)):
        with open(path, newline="", encoding="utf-8") as file:
            found += sum(float(row["cpu_time"]) for row in csv.DictReader(file, delimiter="\t"))
    if not found:
        raise ValueError(f"{folder}: no record of {job.key}, expected {pattern}")
    return found


def before(job: Job) -> list[Job]:
    """The jobs that one waits for."""
    return [need.job for need in job.needs] + list(job.after)


def longest_chain(jobs: Sequence[Job], seconds: Mapping[str, float]) -> float:
    """Time of the longest chain of jobs of which each waits for the one before, s."""
    ends: dict[str, float] = {}
    for job in in_order(jobs):
        ends[job.key] = seconds[job.key] + max((ends[j.key] for j in before(job)), default=0.0)
    return max(ends.values())


def makespan(jobs: Sequence[Job], seconds: Mapping[str, float], cores: int) -> float:
    """Time until all jobs are done, s, if a free core takes the first that can begin."""
    waiting = in_order(jobs)
    done: set[str] = set()
    running: list[tuple[float, str]] = []
    now = 0.0
    while waiting or running:
        ready = [job for job in waiting if all(j.key in done for j in before(job))]
        for job in ready[: cores - len(running)]:
            heapq.heappush(running, (now + seconds[job.key], job.key))
            waiting.remove(job)
        now, ended = heapq.heappop(running)
        done.add(ended)
    return now


def in_order(jobs: Sequence[Job]) -> list[Job]:
    """The jobs in their order, each behind those that it waits for."""
    placed: dict[str, Job] = {}

    def place(job: Job) -> None:
        if job.key not in placed:
            for earlier in before(job):
                place(earlier)
            placed[job.key] = job

    for job in jobs:
        place(job)
    return list(placed.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder of a finished run")
    parser.add_argument("--cores", type=int, nargs="+", default=[2, 8])
    options = parser.parse_args()
    text = (options.results / "config.yaml").read_text(encoding="utf-8")
    config = yaml.safe_load(text) | {"results_dir": str(options.results)}
    jobs = Plan(config, ROOT, {}).jobs
    seconds = {job.key: seconds_of(options.results, job) for job in jobs}
    total = sum(seconds.values())
    for stage in dict.fromkeys(job.stage for job in in_order(jobs)):
        own = [seconds[job.key] for job in jobs if job.stage == stage]
        print(f"{stage}: {len(own)} jobs, {sum(own):.0f} s ({sum(own) / total:.1%})")
    chain = longest_chain(jobs, seconds)
    print(f"all: {len(jobs)} jobs, {total:.0f} s; longest chain {chain:.0f} s")
    for cores in options.cores:
        time = makespan(jobs, seconds, cores)
        print(
            f"{cores} cores: longest chain {chain / (total / cores):.2f} of a core's equal share; "
            f"{time:.0f} s, {total / cores / time:.0%} of the cores in use"
        )


if __name__ == "__main__":
    main()
