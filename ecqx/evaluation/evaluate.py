"""One network against the full-precision network: accuracy, agreement, attribution maps.

All networks of one data set explain the same pairs of a sample and one of its classes (see
`ecqx.evaluation.subset`), whatever they predict.
"""

import copy
import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ecqx.evaluation.agreement import flips, hits, scorable
from ecqx.evaluation.complexity import COMPLEXITIES
from ecqx.evaluation.consistency import METRICS
from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.evaluation.localisation import LOCALISATIONS
from ecqx.evaluation.maps import informative
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
    reasons = {name: EXPLAINERS[name].applies(model) for name in _known(explainers, EXPLAINERS)}
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


def attribution_rows(
    maps: Mapping[str, Tensor],
    reference_maps: Mapping[str, Tensor],
    correct: Tensor,
    reference_correct: Tensor,
    mask: Tensor | None = None,
    metrics: Sequence[str] | None = None,
) -> list[dict]:
    """Mean and spread of every metric over the evaluation subset.

    A sample counts where its value is defined. For consistency that is where the reference map is
    not degenerate: where full precision has no explanation, none can be kept. Since this depends on
    the reference alone, all networks compared with it are judged on the same samples. A network's
    own degenerate map counts, with the value that the metric declares for it. For localisation it
    is where the mask is neither empty nor full. Complexity is defined everywhere.

    Parameters
    ----------
    maps, reference_maps : mapping of str to Tensor, explainer -> maps, shape (n, H, W); of the
        network and of full precision.
    correct, reference_correct : Tensor, bool, shape (n,); where the network, and the full-precision
        network, predict the class that is explained.
    mask : Tensor, bool, shape (n, H, W), optional; ground truth for localisation; without it there
        are no rows for it.
    metrics : sequence of str, optional; names in ``METRICS``, ``LOCALISATIONS`` and
        ``COMPLEXITIES``; all by default.

    Returns
    -------
    list[dict]
        Keys: explainer, metric, subset ("all", "both_correct"), signed (bool; False: computed on
        the maps' magnitudes), mean, std (sample standard deviation over samples), n (samples that
        count), degenerate (those among them whose map of the network is degenerate and got the
        value that the metric declares for it). `mean` is NaN if n is 0, `std` if n is below 2.

    Raises
    ------
    ValueError : a metric is unknown, or the reference lacks the maps of an explainer.
    """
    every = [*METRICS, *LOCALISATIONS, *COMPLEXITIES]
    metrics = every if metrics is None else _known(metrics, every)
    if lacking := [name for name in maps if name not in reference_maps]:
        raise ValueError(f"the reference has no maps of {', '.join(lacking)}")

    subsets = {"all": torch.ones_like(correct), "both_correct": correct & reference_correct}
    rows = []
    for explainer, own in maps.items():
        reference = reference_maps[explainer]
        signed_values = _measured(own, reference, mask, metrics)
        unsigned_values = signed_values
        if bool((own < 0).any()) or bool((reference < 0).any()):
            unsigned_values = _measured(own.abs(), reference.abs(), mask, metrics)
        for signed, measured in ((True, signed_values), (False, unsigned_values)):
            for metric, (values, defined, degenerate) in measured.items():
                for subset, members in subsets.items():
                    counted = members & defined
                    rows.append(
                        {
                            "explainer": explainer,
                            "metric": metric,
                            "subset": subset,
                            "signed": signed,
                            **moments(values[counted]),
                            "degenerate": int((counted & degenerate).sum()),
                        }
                    )
    return rows


def _measured(
    own: Tensor, reference: Tensor, mask: Tensor | None, metrics: Sequence[str]
) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Metric -> value of every sample, where it is defined, and where the network's map degenerate.

    Without masks there is nothing of localisation.
    """
    measured = {}
    for metric in metrics:
        if metric in METRICS:
            values = METRICS[metric].fn(own, reference)
            measured[metric] = (values, informative(reference), ~informative(own))
        elif metric in COMPLEXITIES:
            values = COMPLEXITIES[metric].fn(own)
            measured[metric] = (values, ~values.isnan(), ~COMPLEXITIES[metric].informative(own))
        elif mask is not None:
            values = LOCALISATIONS[metric].fn(own, mask)
            measured[metric] = (values, ~values.isnan(), ~LOCALISATIONS[metric].informative(own))
    return measured


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
    metrics : sequence of str, optional; see `attribution_rows`.

    Returns
    -------
    dict
        accuracy : float, the score on the whole split, in [0, 1];
        flips : float, share of its decisions that differ from full precision's, in [0, 1];
        logits : Tensor, on the whole split, shape (N, n_classes);
        rows : list[dict], see `attribution_rows`;
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
    rows = attribution_rows(
        maps,
        reference.maps,
        hits(logits[index], target, split.multilabel),
        reference.correct,
        mask=None if split.mask is None else split.mask_of(index, target),
        metrics=metrics,
    )
    return {
        "accuracy": score(scorable(logits, split.y), split.y),
        "flips": flips(logits, reference.logits, split.multilabel),
        "logits": logits,
        "rows": rows,
        "maps": maps,
    }


def anchor_rows(
    models: Mapping[str, nn.Module],
    split: Split,
    reference: Reference,
    explainers: Iterable[str],
    score: Score,
    metrics: Sequence[str] | None = None,
) -> list[dict]:
    """Rows of networks between which compressed ones are read: floor, yardstick and ceiling.

    Parameters
    ----------
    models : mapping of str to nn.Module, name of the anchor -> network: "identical", the
        full-precision network itself; "retrained", the same architecture from another seed;
        "random", never trained.
    split, reference, explainers, score, metrics : see `evaluate_network`.

    Returns
    -------
    list[dict]
        Rows of `attribution_rows`, each with ``method`` (the anchor) and ``point`` ("anchor").
    """
    names = list(explainers)
    return [
        {"method": anchor, "point": "anchor", **row}
        for anchor, model in models.items()
        for row in evaluate_network(model, split, reference, names, score, metrics)["rows"]
    ]


def channels_last(model: nn.Module) -> nn.Module:
    """Copy of a network with its weights laid out channels last.

    Pooling and convolutions on a CPU take less than half the time in this layout. The copy spares
    the caller's network the change.
    """
    return copy.deepcopy(model).to(memory_format=torch.channels_last)


def _known(names: Iterable[str], registry: Iterable[str]) -> list[str]:
    names, registry = list(names), list(registry)
    if unknown := [name for name in names if name not in registry]:
        raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(registry)}")
    return names


def moments(values: Tensor) -> dict[str, float | int]:
    """Mean, std (of a sample) and n of values (n,); NaN where there are too few."""
    n = len(values)
    return {
        "mean": values.mean().item() if n else math.nan,
        "std": values.std().item() if n > 1 else math.nan,
        "n": n,
    }
