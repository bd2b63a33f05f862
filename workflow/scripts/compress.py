"""Compress one full-precision network at several operating points of one or more methods."""

import functools
import hashlib
import json
import math
from pathlib import Path

from pipeline import receipts
from pipeline.jobs import points as isolated
from pipeline.jobs.computing import git_commit, prepare, versions
from pipeline.jobs.history import write_history
from pipeline.jobs.job import inputs_of, leave_receipt, open_log, places_of

FILES = ("model.nnc", "run.json", "history.csv")
# Which point of a job was finished: a receipt of its own, beside what was made.
RECEIPT = "compressed.json"


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    settings, places, inputs = snakemake.params.settings, places_of(snakemake), inputs_of(snakemake)

    def identity_of(point: dict) -> dict[str, str]:
        return {key: settings[key] for key in ("dataset", "model")} | {"method": point["method"]}

    def folder_of(point: dict) -> Path:
        return places.run(**identity_of(point), point=point["name"], seed=settings["seed"])

    def finished(point: dict) -> bool:
        receipt = receipts.read(folder_of(point) / RECEIPT)
        return receipt is not None and receipt.holds(point["recipe"], inputs, places.results)

    def begin():
        """What all points of a process share; torch is imported in there."""
        import torch

        from ecqx.compression.loading import load_method
        from ecqx.compression.run import attempt_point, lost_point
        from ecqx.seeding import derive_seed
        from ecqx.tasks import data, models
        from ecqx.tasks.runtime import device_name
        from ecqx.tasks.task import Budget, Task

        device = prepare(snakemake)
        dataset = data.load(places.data(settings["dataset"]))
        budget = Budget(**settings["budget"])
        # Order and augmentation of the data know nothing of the method: all train on the same.
        order = derive_seed("order", settings["dataset"], settings["model"], settings["seed"])
        build = models.get(settings["model"]).build
        task = Task.from_dataset(dataset, settings["model"], budget, order, build).to(device)
        model = models.network(settings["model"], task.input_shape, task.n_classes)
        path = places.pretrained(settings["dataset"], settings["model"], settings["seed"])
        model.load_state_dict(torch.load(path / "model.pt", weights_only=True))
        model.to(device)
        root = Path(__file__).resolve().parents[2]
        load = functools.cache(lambda method: load_method(root / f"baselines/{method}.py"))
        origin = {
            # what the network is built with that the artefact is of
            "network": {
                "input_shape": list(task.input_shape),
                "n_classes": task.n_classes,
                "factory": (settings["own_model"] or {}).get("factory"),
            },
            "budget": settings["budget"],
            "device": device_name(device),
            "versions": versions(),
            "git": git_commit(),
        }

        def work(point: dict, lost: str | None) -> None:
            identity = identity_of(point)
            run = identity | {"point": point["name"], "seed": settings["seed"]}
            method = load(point["method"])
            if lost is None:
                # Nor is the point a part: the same parameters give the same bytes, whatever the
                # point is called.
                seed_parts = ("compress", *identity.values(), settings["seed"])
                outcome = attempt_point(method, point["params"], model, task, seed_parts)
            else:
                outcome = lost_point(method, point["params"], lost)
            folder = folder_of(point)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "model.nnc").write_bytes(outcome.artefact)
            text = json.dumps(record(outcome, run, origin), indent=1) + "\n"
            (folder / "run.json").write_text(text, encoding="utf-8")
            write_history(folder / "history.csv", outcome.history)
            made = [folder / name for name in FILES]
            receipt = receipts.made(point["recipe"], inputs, made, places.results)
            receipts.write(folder / RECEIPT, receipt)
            result = f"{len(outcome.artefact)} bytes" if outcome.artefact else outcome.reason
            tell(f"{task.name} {point['method']} {point['name']} seed {settings['seed']}: "
                 f"{outcome.status}, {result}")  # fmt: skip

        return work

    left = [point for point in settings["points"] if not finished(point)]
    limits = [snakemake.config[key] for key in ("time_limit_s", "job_time_limit_s")]
    isolated.work_through(left, begin, *limits)
    made = [folder_of(point) / name for point in settings["points"] for name in FILES]
    leave_receipt(snakemake, made, tell)


def record(outcome, run: dict, origin: dict) -> dict:
    """What run.json holds: the run, how it ended, with which settings, where, which versions."""
    final = outcome.history[-1] if outcome.epoch is not None and outcome.history else {}
    return run | {
        "status": outcome.status,
        "reason": outcome.reason,
        "params": outcome.params,
        "epoch": outcome.epoch,
        # beside what was chosen, what the last epoch led to
        "epochs": len(outcome.history) if outcome.epoch is not None else None,
        "accuracy_validation_final": final.get("validation_score"),
        "sparsity_final": final.get("sparsity"),
        "entropy_bytes_final": final.get("entropy_bytes"),
        "train_s": None if math.isnan(outcome.train_s) else outcome.train_s,
        "peak_memory_bytes": outcome.peak_memory_bytes,
        # what is said here is of these bytes
        "sha256": hashlib.sha256(outcome.artefact).hexdigest(),
    } | origin  # fmt: skip


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
