"""Train the full-precision network of one task and seed."""

import functools
import json
import sys
import time
import traceback
from pathlib import Path

import torch
from pipeline.jobs.computing import git_commit, prepare, versions
from pipeline.jobs.history import write_history
from pipeline.jobs.job import leave_receipt, open_log, places_of

from ecqx.seeding import derive_seed, generator
from ecqx.tasks import data, models
from ecqx.tasks.own_model import given
from ecqx.tasks.plain import plain
from ecqx.tasks.pretrain import pretrain
from ecqx.tasks.runtime import device_name
from ecqx.tasks.task import Budget, Task


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    device = prepare(snakemake)
    settings, places = snakemake.params.settings, places_of(snakemake)
    dataset_name, model_name, seed = settings["dataset"], settings["model"], settings["seed"]
    rng = generator("pretrain", dataset_name, model_name, seed)
    dataset, module = data.load(places.data(dataset_name)), models.get(model_name)

    training = None
    start = time.perf_counter()
    try:
        if settings["checkpoint"]:
            path = Path(settings["checkpoint"][0])
            trained = given(module.build, dataset, path, rng, device, module.accuracy)
        else:
            training = settings["pretraining"]
            budget = {name: value for name, value in training.items() if name != "weight_decay"}
            order = derive_seed("order", "pretrain", dataset_name, model_name, seed)
            task = Task.from_dataset(dataset, model_name, Budget(**budget), order).to(device)
            root = Path(settings["root"]) if settings["root"] else None
            learnt = getattr(module, "pretrained", None)
            begin = functools.partial(learnt, root=root) if learnt else None
            trained = pretrain(module.build, task, rng, training["weight_decay"], begin)
    except (OSError, ValueError) as error:  # what files or the model are to blame for
        traceback.print_exc()
        tell(f"{dataset_name}/{model_name}: {error}")
        sys.exit(1)
    seconds = time.perf_counter() - start

    folder = places.pretrained(dataset_name, model_name, seed)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(plain(trained.model).state_dict(), folder / "model.pt")
    record = {
        "dataset": dataset_name,
        "model": model_name,
        "seed": seed,
        "params": training,
        "start": trained.start,
        "epoch": trained.epoch,
        "train_s": seconds,
        "device": device_name(device),
        "versions": versions(),
        "git": git_commit(),
    }
    (folder / "run.json").write_text(json.dumps(record, indent=1) + "\n")
    write_history(folder / "history.csv", trained.history)
    files = [folder / name for name in ("model.pt", "run.json", "history.csv")]
    leave_receipt(snakemake, files, tell)
    where = f"{dataset_name}/{model_name} seed {seed}"
    if trained.history:
        tell(f"{where}: validation score {trained.score:.4f} in epoch {trained.epoch}")
    else:
        tell(f"{where}: validation score {trained.score:.4f}, weights of {trained.start}")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
