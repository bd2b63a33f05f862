"""One network against the full-precision network: accuracy, agreement, attribution maps.

All networks of one data set explain the same pairs of a sample and one of its classes (see
`ecqx.evaluation.subset`), whatever they predict.
"""

import copy
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ecqx.evaluation.agreement import flips, hits, scorable
from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.evaluation.measures import (
    attribution_rows,
    attribution_samples,
    known_names,
    measure_maps,
)
from ecqx.evaluation.reference import Reference
from ecqx.evaluation.subset import background, evaluation_pairs
from ecqx.seeding import derive_seed
from ecqx.tasks.data import Dataset, Split
from ecqx.tasks.task import Score, device_of, objective, predict, samples_at_once

# More at once is not faster on a CPU, and explainers keep what a training step would keep.
_MOST_SAMPLES = 128


def inapplicable(model: nn.Module, explainers: Iterable[str]) -> dict[str, str]:
    """Explainers that do not apply to a model, with the reason.

    Raises
    ------
    ValueError : an explainer is unknown.
    """
    reasons = {
        name: EXPLAINERS[name].applies(model) for name in known_names(explainers, EXPLAINERS)
    }
    return {name: reason for name, reason in reasons.items() if reason is not None}


def explain_all(
    model: nn.Module,
    x: Tensor,
    target: Tensor,
    explainers: Iterable[str],
    batch_size: int | None = None,
    background: Tensor | None = None,
) -> dict[str, Tensor]:
    """Maps of every explainer that applies to the model.

    Parameters
    ----------
    model : nn.Module, comes back as it was.
    x : Tensor, shape (n, C, H, W); taken to the model's device batch by batch.
    target : Tensor, int64, shape (n,); classes to be explained.
    explainers : iterable of str, names in ``EXPLAINERS``.
    batch_size : int, optional; samples explained at once; bounds the memory, does not change the
        maps. By default 128, fewer of large inputs.
    background : Tensor, shape (b, C, H, W), optional; training inputs, for explainers that compare
        inputs with a background, see `ecqx.evaluation.subset.background`.

    Returns
    -------
    dict[str, Tensor]
        Explainer -> maps, shape (n, H, W), on the device of `x`. Explainers that do not apply are
        absent; `inapplicable` says why.

    Raises
    ------
    ValueError : an explainer is unknown or has no background that it needs, or shapes do not fit.
    """
    names = list(explainers)
    skipped = inapplicable(model, names)
    device = device_of(model, x.device)
    size = batch_size or min(_MOST_SAMPLES, samples_at_once(x.shape[1:]))
    batches = list(zip(x.split(size), target.split(size), strict=True))

    def explain(name: str, part: Tensor, classes: Tensor) -> Tensor:
        explain_part = EXPLAINERS[name].fn
        return explain_part(model, part.to(device), classes.to(device), background).to(x.device)

    return {
        name: torch.cat([explain(name, *batch) for batch in batches])
        for name in names
        if name not in skipped
    }


def make_reference(
    model: nn.Module,
    split: Split,
    validation: Split,
    index: Tensor,
    target: Tensor,
    explainers: Iterable[str],
    score: Score,
    background: Tensor | None = None,
) -> Reference:
    """Maps and logits of the full-precision network.

    Parameters
    ----------
    model : nn.Module, comes back as it was.
    split : Split, the test split.
    validation : Split, the validation split.
    index, target : Tensor, int64, shape (m,); the explained pairs, see
        `ecqx.evaluation.subset.evaluation_pairs`.
    explainers : iterable of str, names in ``EXPLAINERS``; those that do not apply to the model are
        left out.
    score : callable (logits, y) -> float; the score of the data set, see
        `ecqx.tasks.task.objective`.
    background : Tensor, shape (b, C, H, W), optional; see `explain_all`. All networks that are
        compared with the reference explain against the same one.
    """
    model = channels_last(model)
    logits = predict(model, split.x)
    background = split.x[:0] if background is None else background
    return Reference(
        index=index,
        target=target,
        maps=explain_all(model, split.x[index], target, explainers, background=background),
        background=background,
        correct=hits(logits[index], target, split.multilabel),
        logits=logits,
        accuracy=score(scorable(logits, split.y), split.y),
        accuracy_validation=accuracy(model, validation, score),
    )


def reference_of(
    model: nn.Module, dataset: Dataset, samples: int, explainers: Iterable[str]
) -> Reference:
    """The reference of a data set as every part of the benchmark takes it.

    One subset per data set: all models and seeds explain the same pairs against the same
    background.

    Parameters
    ----------
    model : nn.Module, full precision; comes back as it was.
    dataset : Dataset
    samples : int, how many of the test split are explained, see
        `ecqx.evaluation.subset.evaluation_pairs`.
    explainers : iterable of str, see `make_reference`.
    """
    test, (_, score) = dataset.test, objective(dataset)
    index, target = evaluation_pairs(test, samples, derive_seed("evaluation_subset", dataset.name))
    inputs = background(dataset.train, derive_seed("background", dataset.name))
    return make_reference(model, test, dataset.validation, index, target, explainers, score, inputs)


def accuracy(model: nn.Module, split: Split, score: Score) -> float:
    """The score of a network on a whole split, in [0, 1]; logits that are not finite are wrong."""
    return score(scorable(predict(model, split.x), split.y), split.y)


def evaluate_network(
    model: nn.Module,
    split: Split,
    reference: Reference,
    explainers: Iterable[str],
    score: Score,
    metrics: Sequence[str] | None = None,
) -> dict:
    """Evaluate one network as it comes out of its bitstream.

    Parameters
    ----------
    model : nn.Module, comes back as it was.
    split : Split, the test split that the reference was made on.
    reference : Reference, the full-precision network on the same split.
    explainers : iterable of str, names in ``EXPLAINERS``.
    score : callable (logits, y) -> float; the score of the data set, see
        `ecqx.tasks.task.objective`.
    metrics : sequence of str, optional; see `measure_maps`.

    Returns
    -------
    dict
        accuracy : float, the score on the whole split, in [0, 1];
        flips : float, share of its decisions that differ from full precision's, in [0, 1];
        logits : Tensor, on the whole split, shape (N, n_classes);
        rows : list[dict], see `attribution_rows`;
        samples : dict of str to ndarray, what rows are the means of, see `attribution_samples`;
        maps : dict[str, Tensor], of the explained pairs, see `explain_all`.

    Raises
    ------
    ValueError : an explainer or a metric is unknown, or the reference does not fit the split.
    """
    index, target = reference.index, reference.target
    if len(reference.logits) != len(split):
        raise ValueError(
            f"the reference is of {len(reference.logits)} samples, the split has {len(split)}"
        )
    model = channels_last(model)
    logits = predict(model, split.x)
    maps = explain_all(model, split.x[index], target, explainers, background=reference.background)
    correct = hits(logits[index], target, split.multilabel)
    mask = None if split.mask is None else split.mask_of(index, target)
    measures = measure_maps(maps, reference.maps, mask, metrics)
    return {
        "accuracy": score(scorable(logits, split.y), split.y),
        "flips": flips(logits, reference.logits, split.multilabel),
        "logits": logits,
        "rows": attribution_rows(measures, correct, reference.correct),
        "samples": attribution_samples(measures, pairs_of(reference), correct & reference.correct),
        "maps": maps,
    }


def pairs_of(reference: Reference) -> dict[str, np.ndarray]:
    """What tells the explained pairs apart, for tables of samples.

    Returns
    -------
    dict of str to ndarray of int, shape (m,)
        sample, the place in the test split; target, the place among the classes.
    """
    return {"sample": reference.index.numpy(), "target": reference.target.numpy()}


def channels_last(model: nn.Module) -> nn.Module:
    """Copy of a network with its weights laid out channels last.

    Pooling and convolutions on a CPU take less than half the time in this layout. The copy spares
    the caller's network the change.
    """
    return copy.deepcopy(model).to(memory_format=torch.channels_last)
