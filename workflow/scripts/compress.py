"""Compress one full-precision network by one method at several operating points."""

import json
import math
from pathlib import Path

import torch
from pipeline.jobs.job import git_commit, open_log, prepare, versions
from pipeline.jobs.rows import write_history
from pipeline.planning import run_table

from ecqx.compression.loading import load_method
from ecqx.compression.run import Outcome, compress_point
from ecqx.tasks import data, models
from ecqx.tasks.runtime import device_name
from ecqx.tasks.task import Budget, Task


def record(outcome: Outcome, identity: dict, origin: dict) -> dict:
    """What run.json holds: the run, how it ended, with which settings, where, which versions."""
    return identity | {
        "status": outcome.status,
        "reason": outcome.reason,
        "params": outcome.params,
        "epoch": outcome.epoch,
        "train_s": None if math.isnan(outcome.train_s) else outcome.train_s,
        "peak_memory_bytes": outcome.peak_memory_bytes,
    } | origin  # fmt: skip


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    device = prepare(snakemake)
    params, seed = snakemake.params, int(snakemake.wildcards.seed)
    dataset = data.load(snakemake.input.data)
    task = Task.from_dataset(dataset, params.model, Budget(**params.budget)).to(device)
    model = models.get(params.model).build(task.input_shape, task.n_classes)
    model.load_state_dict(torch.load(snakemake.input.model, weights_only=True))
    model.to(device)
    method_file = Path(snakemake.input.method)
    method, method_name = load_method(method_file), method_file.stem
    points = run_table.expand_grid(snakemake.config["grids"][method_name])
    origin = {
        "budget": dict(params.budget),
        "device": device_name(device),
        "versions": versions(),
        "git": git_commit(),
    }

    paths = (snakemake.output.artefact, snakemake.output.record, snakemake.output.history)
    for artefact_path, record_path, history_path in zip(*paths, strict=True):
        point = Path(artefact_path).parent.parent.name
        identity = {
            "dataset": params.dataset,
            "model": params.model,
            "method": method_name,
            "point": point,
            "seed": seed,
        }
        seed_parts = ("compress", *identity.values())
        outcome = compress_point(method, points[point], model, task, seed_parts)
        Path(artefact_path).write_bytes(outcome.artefact)
        text = json.dumps(record(outcome, identity, origin), indent=1) + "\n"
        Path(record_path).write_text(text, encoding="utf-8")
        write_history(history_path, outcome.history)
        result = f"{len(outcome.artefact)} bytes" if outcome.artefact else outcome.reason
        tell(f"{task.name} {method_name} {point} seed {seed}: {outcome.status}, {result}")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
