"""Train the full-precision network of one task and seed."""

import csv
import json
import time
from pathlib import Path

import torch

from ecqx.seeding import generator
from ecqx.tasks import data, models
from ecqx.tasks.pretrain import pretrain
from ecqx.tasks.task import Budget, Task
from workflow.job import git_commit, open_log, prepare_torch, versions


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    prepare_torch()
    dataset_name, model_name = snakemake.wildcards.dataset, snakemake.wildcards.model
    seed = int(snakemake.wildcards.seed)
    settings = dict(snakemake.params.pretraining)
    weight_decay = settings.pop("weight_decay")
    task = Task.from_dataset(data.load(snakemake.input.data), model_name, Budget(**settings))
    rng = generator("pretrain", dataset_name, model_name, seed)

    start = time.perf_counter()
    trained = pretrain(models.get(model_name).build, task, rng, weight_decay)
    seconds = time.perf_counter() - start

    torch.save(trained.model.state_dict(), snakemake.output.model)
    record = {
        "dataset": dataset_name,
        "model": model_name,
        "seed": seed,
        "params": dict(snakemake.params.pretraining),
        "epoch": trained.epoch,
        "train_s": seconds,
        "versions": versions(),
        "git": git_commit(),
    }
    Path(snakemake.output.record).write_text(json.dumps(record, indent=1) + "\n")
    with open(snakemake.output.history, "w", newline="") as file:
        writer = csv.DictWriter(file, trained.history[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(trained.history)
    score = trained.history[trained.epoch - 1]["validation_score"]
    tell(f"{task.name} seed {seed}: validation score {score:.4f} in epoch {trained.epoch}")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
