"""Evaluate the decoded networks of several operating points of one or more methods."""

import functools
import json
import traceback
from pathlib import Path

from pipeline import receipts
from pipeline.jobs import points as isolated
from pipeline.jobs import rows
from pipeline.jobs.computing import prepare
from pipeline.jobs.job import inputs_of, leave_receipt, open_log, places_of

TABLES = ("attributions", "gains", "predictions", "layers")
# Of these, the values of single samples are kept, too.
SAMPLED = ("attributions", "gains")
FILES = ("metrics.json", "maps.npz", "logits.npy", *(f"{name}.csv" for name in TABLES),
         *(f"{name}.parquet" for name in SAMPLED))  # fmt: skip
# Which point of a job was finished: a receipt of its own, beside what was made.
RECEIPT = "evaluated.json"


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    settings, places, inputs = snakemake.params.settings, places_of(snakemake), inputs_of(snakemake)
    task = {key: settings[key] for key in ("dataset", "model")}
    # of the share that the points were compressed in, only the point's own artefact matters
    shared = {key: value for key, value in inputs.items() if not key.startswith("compress/")}

    def folder_of(point: dict) -> Path:
        return places.run(**task, method=point["method"], point=point["name"],
                          seed=settings["seed"])  # fmt: skip

    def inputs_at(point: dict) -> dict[str, str]:
        return shared | {"model.nnc": receipts.file_digest(folder_of(point) / "model.nnc")}

    def finished(point: dict) -> bool:
        receipt = receipts.read(folder_of(point) / RECEIPT)
        return receipt is not None and receipt.holds(
            point["recipe"], inputs_at(point), places.results
        )

    def begin():
        """What all points of a process share; torch is imported in there."""
        import numpy as np
        import torch

        from ecqx.evaluation.measuring import Found, measure, undefined
        from ecqx.evaluation.reference import load_reference, save_maps
        from ecqx.results import samples
        from ecqx.tasks import data, models

        device = prepare(snakemake)
        dataset = data.load(places.data(settings["dataset"]))
        network = places.pretrained(**task, seed=settings["seed"])
        reference = load_reference(network / "reference.npz")
        build = functools.partial(
            models.network, settings["model"], dataset.input_shape, len(dataset.classes)
        )
        full_precision = build()
        full_precision.load_state_dict(torch.load(network / "model.pt", weights_only=True))
        full_precision.to(device)

        def work(point: dict, lost: str | None) -> None:
            folder = folder_of(point)
            known, found = undefined(build(), dataset, reference), None
            artefact = (folder / "model.nnc").read_bytes()
            if artefact and lost is None:
                try:
                    found = measure(
                        artefact, build, known["size_fp32_bytes"], device, dataset, reference,
                        full_precision, settings["evaluation"],
                    )  # fmt: skip
                # whatever an explainer or a metric raises: one run less, not the table of all
                except Exception as error:
                    traceback.print_exc()
                    lost = " ".join(f"{type(error).__name__}: {error}".split())
            if lost is not None:
                known |= {"status": "failed", "reason": f"evaluation: {lost}"}
            # of a run without a network, the logits of no sample
            of = found or Found({}, {}, {}, {}, reference.logits[:0])
            text = json.dumps(known | of.metrics, indent=1) + "\n"
            (folder / "metrics.json").write_text(text, encoding="utf-8")
            run = task | {"method": point["method"], "point": point["name"],
                          "seed": settings["seed"]}  # fmt: skip
            for name in TABLES:
                table = [run | row for row in of.tables.get(name, [])]
                rows.write(name, folder / f"{name}.csv", table)
            for name in SAMPLED:
                table = samples.table_of(name, run, of.samples.get(name, {}))
                samples.write(folder / f"{name}.parquet", name, [table])
            save_maps(folder / "maps.npz", of.maps)
            np.save(folder / "logits.npy", of.logits.numpy())
            made = [folder / name for name in FILES]
            receipt = receipts.made(point["recipe"], inputs_at(point), made, places.results)
            receipts.write(folder / RECEIPT, receipt)
            result = lost or "no network"
            if found:
                result = f"accuracy {of.metrics['accuracy']:.4f}"
            tell(f"{settings['dataset']}/{settings['model']} {point['method']} {point['name']} "
                 f"seed {settings['seed']}: {result}")  # fmt: skip

        return work

    left = [point for point in settings["points"] if not finished(point)]
    limits = [snakemake.config[key] for key in ("time_limit_s", "job_time_limit_s")]
    isolated.work_through(left, begin, *limits)
    made = [folder_of(point) / name for point in settings["points"] for name in FILES]
    leave_receipt(snakemake, made, tell)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
