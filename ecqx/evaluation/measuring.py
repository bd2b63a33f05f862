"""What is measured on the network that an artefact decodes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from ecqx.compression.artefact import bitstream, size
from ecqx.compression.contract import quantizable
from ecqx.compression.operations import multiply_accumulates
from ecqx.evaluation import faithfulness
from ecqx.evaluation.agreement import class_rows, logit_distance
from ecqx.evaluation.calibration import calibration_error
from ecqx.evaluation.evaluate import accuracy, evaluate_network, pairs_of
from ecqx.evaluation.reference import Reference
from ecqx.tasks.data import Dataset
from ecqx.tasks.task import objective


class Found(NamedTuple):
    """What is measured on a network.

    Attributes
    ----------
    metrics : dict, metrics.json.
    tables : dict of str to list of dict, name -> rows of that table.
    samples : dict of str to dict, name -> columns of what the rows of that table are the means of.
    maps : dict of str to Tensor, explainer -> the maps that galleries show, shape (g, H, W).
    logits : Tensor, of the test split, shape (N, n_classes).
    """

    metrics: dict[str, Any]
    tables: dict[str, list[dict]]
    samples: dict[str, dict[str, np.ndarray]]
    maps: dict[str, torch.Tensor]
    logits: torch.Tensor


def measure(
    artefact: bytes,
    build: Callable[..., torch.nn.Module],
    size_fp32_bytes: int,
    device: torch.device,
    dataset: Dataset,
    reference: Reference,
    full_precision: torch.nn.Module,
    settings: dict,
) -> Found:
    """What is measured on the network that an artefact decodes to.

    Parameters
    ----------
    build : callable (**architecture) -> nn.Module, an untrained network of the model
    size_fp32_bytes : of the network that was compressed
    reference, full_precision : that network, on the device, and what is known of it
    settings : ``evaluation`` of the configuration
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
        "logit_distance": logit_distance(logits, reference.logits, dataset.test.multilabel),
        "calibration_error": calibration_error(logits, labels),
        "size_bytes": len(artefact),
        **{f"bytes_{part}": count for part, count in bitstream.parts(artefact).items()},
        "compression_ratio": size_fp32_bytes / len(artefact),
        "sparsity": size.sparsity(weights),
        "entropy_bytes": size.entropy_bytes(weights),
        "macs": multiply_accumulates(model, dataset.test.x[:1].to(device)),
        "accuracy_validation": accuracy(model, dataset.validation, score),
    }
    gains = occlusion_gains(
        model, full_precision, dataset, reference, evaluated["maps"], settings["faithfulness"]
    )
    tables = {
        "attributions": evaluated["rows"],
        "gains": faithfulness.gain_rows(gains),
        "predictions": class_rows(logits, reference.logits, labels, dataset.classes),
        "layers": size.layer_rows(weights),
    }
    samples = {
        "attributions": evaluated["samples"],
        "gains": gain_samples(gains, reference),
    }
    shown = settings["gallery_samples"]
    maps = {name: part[:shown] for name, part in evaluated["maps"].items()}
    return Found(metrics, tables, samples, maps, logits)


def occlusion_gains(
    model: torch.nn.Module,
    full_precision: torch.nn.Module,
    dataset: Dataset,
    reference: Reference,
    maps: Mapping[str, torch.Tensor],
    settings: Mapping[str, Any],
) -> dict[tuple[str, str, str, bool], torch.Tensor]:
    """`faithfulness.gains` of the first of the explained pairs, as the settings ask for them.

    Parameters
    ----------
    maps : mapping of str to Tensor, explainer -> maps of the network, of all explained pairs
    settings : ``samples`` (0: none), ``groups`` (inputs of fewer positions: as many as these) and
        ``absolute`` (whether maps count by their magnitudes, too)
    """
    samples = settings["samples"]
    if not samples:
        return {}
    test, index = dataset.test, reference.index[:samples]
    return faithfulness.gains(
        model,
        full_precision,
        test.x[index],
        reference.target[:samples],
        {name: own[:samples] for name, own in maps.items()},
        {name: own[:samples] for name, own in reference.maps.items()},
        faithfulness.filler_of(dataset),
        min(settings["groups"], test.x[0, 0].numel()),
        (True, False) if settings["absolute"] else (True,),
        test.multilabel,
    )


def gain_samples(
    gains: Mapping[tuple[str, str, str, bool], torch.Tensor], reference: Reference
) -> dict[str, np.ndarray]:
    """Columns of what `occlusion_gains` found; none of nothing, see `faithfulness.gain_samples`."""
    if not gains:
        return {}
    n = len(next(iter(gains.values())))
    pairs = {name: part[:n] for name, part in pairs_of(reference).items()}
    return faithfulness.gain_samples(gains, pairs)


def undefined(model: torch.nn.Module, dataset: Dataset, reference: Reference) -> dict:
    """metrics.json of a run without a network: what is known of full precision alone."""
    nothing = (
        "accuracy", "accuracy_validation", "flips", "logit_distance", "calibration_error",
        "size_bytes", "compression_ratio", "sparsity", "entropy_bytes", "macs",
        *(f"bytes_{part}" for part in bitstream.PARTS),
    )  # fmt: skip
    return dict.fromkeys(nothing) | {
        "accuracy_fp32": reference.accuracy,
        "accuracy_validation_fp32": reference.accuracy_validation,
        "calibration_error_fp32": calibration_error(reference.logits, dataset.test.y),
        "size_fp32_bytes": size.full_precision_bytes(model),
        "macs_fp32": multiply_accumulates(model, dataset.test.x[:1]),
    }
