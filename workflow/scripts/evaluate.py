"""Evaluate the decoded networks of several operating points of one method."""

import json
from pathlib import Path

import torch
from pipeline.jobs import rows
from pipeline.jobs.job import open_log, prepare

from ecqx.compression.artefact import bitstream, size
from ecqx.evaluation.agreement import class_rows
from ecqx.evaluation.evaluate import accuracy, evaluate_network
from ecqx.evaluation.reference import Reference, load_reference, save_maps
from ecqx.tasks import data, models
from ecqx.tasks.task import objective

_TABLES = ("attributions", "predictions", "layers")


def undefined(model: torch.nn.Module, reference: Reference) -> dict:
    """metrics.json of a run without an artefact: what is known of full precision alone."""
    nothing = (
        "accuracy", "accuracy_validation", "flips", "size_bytes", "compression_ratio", "sparsity",
        "entropy_bytes",
    )  # fmt: skip
    return dict.fromkeys(nothing) | {
        "accuracy_fp32": reference.accuracy,
        "accuracy_validation_fp32": reference.accuracy_validation,
        "size_fp32_bytes": size.full_precision_bytes(model),
    }


def measured(
    size_bytes: int, state: dict[str, torch.Tensor], model: torch.nn.Module, evaluated: dict
) -> dict:
    """metrics.json of a run, the values that concern the artefact and the state it decodes to."""
    return {
        "accuracy": evaluated["accuracy"],
        "flips": evaluated["flips"],
        "size_bytes": size_bytes,
        "compression_ratio": size.full_precision_bytes(model) / size_bytes,
        "sparsity": size.sparsity(state),
        "entropy_bytes": size.entropy_bytes(state),
    }


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    device = prepare(snakemake)
    evaluation = snakemake.params.evaluation
    dataset = data.load(snakemake.input.data)
    _, score = objective(dataset)
    reference = load_reference(snakemake.input.reference)
    metric_names = [*evaluation["metrics"], *evaluation["localisation"]]

    files = zip(
        *(snakemake.input[key] for key in ("artefact", "record")),
        *(snakemake.output[key] for key in ("metrics", "maps", *_TABLES)),
        strict=True,
    )
    for artefact_path, record_path, metrics_path, maps_path, *table_paths in files:
        run = json.loads(Path(record_path).read_text(encoding="utf-8"))
        artefact = Path(artefact_path).read_bytes()
        build = models.get(run["model"]).build
        model = build(dataset.input_shape, len(dataset.classes)).eval()
        metrics, maps = undefined(model, reference), {}
        tables = {name: [] for name in _TABLES}
        if artefact:
            state = bitstream.decode(artefact)
            bitstream.load(model, state)
            model.to(device)
            evaluated = evaluate_network(
                model, dataset.test, reference, evaluation["explainers"], score, metric_names
            )
            metrics |= measured(len(artefact), state, model, evaluated)
            metrics["accuracy_validation"] = accuracy(model, dataset.validation, score)
            logits = (evaluated["logits"], reference.logits)
            tables = {
                "attributions": evaluated["rows"],
                "predictions": class_rows(*logits, dataset.test.y, dataset.classes),
                "layers": size.layer_rows(model.state_dict()),
            }
            shown = evaluation["gallery_samples"]
            maps = {name: part[:shown] for name, part in evaluated["maps"].items()}
        Path(metrics_path).write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        identity = {key: run[key] for key in rows.RUN}
        for (name, table), path in zip(tables.items(), table_paths, strict=True):
            rows.write(name, path, [identity | row for row in table])
        save_maps(maps_path, maps)
        found = "no network" if not artefact else f"accuracy {metrics['accuracy']:.4f}"
        tell(f"{run['dataset']}/{run['model']} {run['method']} {run['point']} "
             f"seed {run['seed']}: {found}")  # fmt: skip


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
