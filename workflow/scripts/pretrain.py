"""Train the full-precision network of one task and seed."""

import json
import sys
import time
import traceback
from pathlib import Path

import torch
from pipeline.jobs.computing import git_commit, prepare, versions
from pipeline.jobs.history import write_history
from pipeline.jobs.job import begin, leave_receipt, places_of

from ecqx.seeding import generator
from ecqx.tasks import data, models
from ecqx.tasks.own_model import given
from ecqx.tasks.plain import plain
from ecqx.tasks.pretrain import full_precision
from ecqx.tasks.runtime import device_name


def main(snakemake) -> None:
    tell = begin(snakemake)
    device = prepare(snakemake)
    settings, places = snakemake.params.settings, places_of(snakemake)
    dataset_name, model_name, seed = settings["dataset"], settings["model"], settings["seed"]
    dataset = data.load(places.data(dataset_name))

    training = None
    start = time.perf_counter()
    try:
        if settings["checkpoint"]:
            path = Path(settings["checkpoint"][0])
            own, rng = models.get(model_name), generator("pretrain", dataset_name, model_name, seed)
            trained = given(own.build, dataset, path, rng, device, own.accuracy)
        else:
            training = settings["pretraining"]
            root = Path(settings["root"]) if settings["root"] else None
            trained = full_precision(dataset, model_name, training, seed, device, root)
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
