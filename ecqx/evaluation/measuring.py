"""What is measured on the network that an artefact decodes to."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ecqx.compression.artefact import bitstream, size
from ecqx.compression.contract import quantizable
from ecqx.compression.operations import multiply_accumulates
from ecqx.evaluation.agreement import class_rows
from ecqx.evaluation.calibration import calibration_error
from ecqx.evaluation.evaluate import accuracy, evaluate_network
from ecqx.evaluation.reference import Reference
from ecqx.tasks.data import Dataset
from ecqx.tasks.task import objective


def measure(
    artefact: bytes,
    build: Callable[..., torch.nn.Module],
    size_fp32_bytes: int,
    device: torch.device,
    dataset: Dataset,
    reference: Reference,
    settings: dict,
) -> tuple[dict, dict[str, list[dict]], dict, torch.Tensor]:
    """What is measured on the network that an artefact decodes to.

    Parameters
    ----------
    build : callable (**architecture) -> nn.Module, an untrained network of the model
    size_fp32_bytes : of the network that was compressed

    Returns
    -------
    metrics.json, rows of the tables, the maps that galleries show, and the logits of the test split
    """
    _, score = objective(dataset)
    state = bitstream.decode(artefact)
    model = bitstream.load(build(**bitstream.architecture(artefact)), state)
    weights = {name: state[name] for name in quantizable(model)}
    model.to(device)
    measures = [*settings["metrics"], *settings["localisation"], *settings["complexity"]]
    evaluated = evaluate_network(
        model, dataset.test, reference, settings["explainers"], score, measures
    )
    logits, labels = evaluated["logits"], dataset.test.y
    metrics = {
        "accuracy": evaluated["accuracy"],
        "flips": evaluated["flips"],
        "calibration_error": calibration_error(logits, labels),
        "size_bytes": len(artefact),
        **{f"bytes_{part}": count for part, count in bitstream.parts(artefact).items()},
        "compression_ratio": size_fp32_bytes / len(artefact),
        "sparsity": size.sparsity(weights),
        "entropy_bytes": size.entropy_bytes(weights),
        "macs": multiply_accumulates(model, dataset.test.x[:1].to(device)),
        "accuracy_validation": accuracy(model, dataset.validation, score),
    }
    tables = {
        "attributions": evaluated["rows"],
        "predictions": class_rows(logits, reference.logits, labels, dataset.classes),
        "layers": size.layer_rows(weights),
    }
    shown = settings["gallery_samples"]
    maps = {name: part[:shown] for name, part in evaluated["maps"].items()}
    return metrics, tables, maps, logits


def undefined(model: torch.nn.Module, dataset: Dataset, reference: Reference) -> dict:
    """metrics.json of a run without a network: what is known of full precision alone."""
    nothing = (
        "accuracy", "accuracy_validation", "flips", "calibration_error", "size_bytes",
        "compression_ratio", "sparsity", "entropy_bytes", "macs",
        *(f"bytes_{part}" for part in bitstream.PARTS),
    )  # fmt: skip
    return dict.fromkeys(nothing) | {
        "accuracy_fp32": reference.accuracy,
        "accuracy_validation_fp32": reference.accuracy_validation,
        "calibration_error_fp32": calibration_error(reference.logits, dataset.test.y),
        "size_fp32_bytes": size.full_precision_bytes(model),
        "macs_fp32": multiply_accumulates(model, dataset.test.x[:1]),
    }
