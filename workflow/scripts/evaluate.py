"""Evaluate the decoded networks of several operating points of one method."""

import json
from pathlib import Path

import torch

from ecqx.compression import bitstream, size
from ecqx.evaluation.evaluate import evaluate_network
from ecqx.evaluation.reference import Reference, load_reference, save_maps
from ecqx.tasks import data, models
from workflow.job import open_log, prepare_torch
from workflow.rows import write_attributions

_KEYS = ("dataset", "model", "method", "point", "seed")


def undefined(model: torch.nn.Module, reference: Reference) -> dict:
    """metrics.json of a run without an artefact: what is known of full precision alone."""
    nothing = ("accuracy", "size_bytes", "compression_ratio", "sparsity", "entropy_bytes")
    return dict.fromkeys(nothing) | {
        "accuracy_fp32": reference.accuracy,
        "size_fp32_bytes": size.full_precision_bytes(model),
        "explainers_skipped": {},
        "degenerate_maps": {},
    }


def measured(
    size_bytes: int, state: dict[str, torch.Tensor], model: torch.nn.Module, evaluated: dict
) -> dict:
    """metrics.json of a run, the values that concern the artefact and the state it decodes to."""
    return {
        "accuracy": evaluated["accuracy"],
        "size_bytes": size_bytes,
        "compression_ratio": size.full_precision_bytes(model) / size_bytes,
        "sparsity": size.sparsity(state),
        "entropy_bytes": size.entropy_bytes(state),
        "explainers_skipped": evaluated["explainers_skipped"],
        "degenerate_maps": evaluated["degenerate"],
    }


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    prepare_torch()
    evaluation = snakemake.params.evaluation
    dataset = data.load(snakemake.input.data)
    reference = load_reference(snakemake.input.reference)
    metric_names = [*evaluation["metrics"], *evaluation["localisation"]]

    inputs = zip(snakemake.input.artefact, snakemake.input.record, strict=True)
    outputs = zip(*(snakemake.output[key] for key in ("metrics", "rows", "maps")), strict=True)
    for (artefact_path, record_path), (metrics_path, rows_path, maps_path) in zip(
        inputs, outputs, strict=True
    ):
        run = json.loads(Path(record_path).read_text(encoding="utf-8"))
        artefact = Path(artefact_path).read_bytes()
        build = models.get(run["model"]).build
        model = build(dataset.input_shape, len(dataset.classes)).eval()
        metrics, rows, maps = undefined(model, reference), [], {}
        if artefact:
            state = bitstream.decode(artefact)
            bitstream.load(model, state)
            evaluated = evaluate_network(
                model, dataset.test, reference, evaluation["explainers"], metric_names
            )
            metrics |= measured(len(artefact), state, model, evaluated)
            rows = [{key: run[key] for key in _KEYS} | row for row in evaluated["rows"]]
            shown = evaluation["gallery_samples"]
            maps = {name: part[:shown] for name, part in evaluated["maps"].items()}
        Path(metrics_path).write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        write_attributions(rows_path, rows)
        save_maps(maps_path, maps)
        accuracy = "no network" if not artefact else f"accuracy {metrics['accuracy']:.4f}"
        tell(f"{run['dataset']}/{run['model']} {run['method']} {run['point']} "
             f"seed {run['seed']}: {accuracy}")  # fmt: skip


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
