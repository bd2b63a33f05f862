"""The configuration against the library: parameters of methods, files of data sets and models."""

import sys
from pathlib import Path

from pipeline import own
from pipeline.jobs import rows
from pipeline.jobs.job import begin, leave_receipt, places_of
from pipeline.planning import data_files

from ecqx.checks import grid_problems
from ecqx.compression.budgeting import describe
from ecqx.compression.contract import describe_parameters
from ecqx.compression.loading import load_method

BASELINES = Path(__file__).resolve().parents[2] / "baselines"


def main(snakemake) -> None:
    tell = begin(snakemake)
    settings, config = snakemake.params.settings, snakemake.config
    problems = grid_problems(BASELINES, settings["grids"])
    if problem := data_files.root_problem(config):
        problems.append(problem)
    else:
        missing = data_files.missing(config, data_files.data_root(config))
        problems += [data_files.line(config, key, reason) for key, reason in missing.items()]
    if problems:
        for problem in problems:
            tell(problem)
        sys.exit(1)
    for name, line in data_files.unread(config, data_files.data_root(config)).items():
        tell(f"{name}: {line}")
    described = [
        {"method": name} | parameter
        for name, points in settings["grids"].items()
        for parameter in (
            *describe_parameters(load_method(BASELINES / f"{name}.py")),
            *describe({key: value for point in points for key, value in point.items()}),
        )
    ]
    path = places_of(snakemake).table("methods")
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.write("methods", path, described)
    leave_receipt(snakemake, [path], tell)
    tell(f"checked {len(settings['grids'])} methods and {len(own.tasks(config))} tasks")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
