"""One network against the full-precision network: accuracy, consistency, localisation.

All networks of one data set explain the same inputs (the evaluation subset) with the label as
target class, whatever they predict.
"""

import copy
import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ecqx.evaluation.consistency import METRICS
from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.evaluation.localisation import LOCALISATIONS
from ecqx.evaluation.maps import informative
from ecqx.evaluation.reference import Reference
from ecqx.tasks.data import Split
from ecqx.tasks.task import predict

_BATCH_SIZE = 128


def evaluation_subset(split: Split, samples: int, seed: int) -> Tensor:
    """Fixed subset of a split on which networks are explained, classes as equal as they can be.

    The split is shuffled, then every class gives one sample in turn, so that any beginning of the
    result is balanced too. A larger subset of the same seed begins with the smaller one.

    Parameters
    ----------
    split : Split
    samples : int
        Wanted size; a split with fewer samples is used whole.
    seed : int

    Returns
    -------
    Tensor, int64, shape (min(samples, len(split)),)
        Positions in the split, in order of use.

    Raises
    ------
    ValueError
        If `samples` is below 1.
    """
    if samples < 1:
        raise ValueError(f"samples: expected at least 1, got {samples}")
    shuffled = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    labels = split.y[shuffled]
    turn = torch.empty_like(labels)
    for label in labels.unique():
        members = labels == label
        turn[members] = torch.arange(int(members.sum()))
    return shuffled[turn.argsort(stable=True)[:samples]]


def inapplicable(model: nn.Module, explainers: Iterable[str]) -> dict[str, str]:
    """Explainers that do not apply to a model, with the reason.

    Raises
    ------
    ValueError
        If an explainer is unknown.
    """
    reasons = {name: EXPLAINERS[name].applies(model) for name in _known(explainers, EXPLAINERS)}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def explain_all(
    model: nn.Module,
    x: Tensor,
    target: Tensor,
    explainers: Iterable[str],
    batch_size: int = _BATCH_SIZE,
) -> dict[str, Tensor]:
    """Maps of every explainer that applies to the model.

    Parameters
    ----------
    model : nn.Module
        Comes back as it was.
    x : Tensor, shape (n, C, H, W)
        Taken to the model's device batch by batch.
    target : Tensor, int64, shape (n,)
        Classes to be explained.
    explainers : iterable of str
        Names in ``EXPLAINERS``.
    batch_size : int
        Samples explained at once; bounds the memory, does not change the maps.

    Returns
    -------
    dict[str, Tensor]
        Explainer -> maps, shape (n, H, W), on the device of `x`. Explainers that do not apply are
        absent; `inapplicable` says why.

    Raises
    ------
    ValueError
        If an explainer is unknown or shapes do not fit.
    """
    names = list(explainers)
    skipped = inapplicable(model, names)
    device = next((parameter.device for parameter in model.parameters()), x.device)
    batches = list(zip(x.split(batch_size), target.split(batch_size), strict=True))
    return {
        name: torch.cat(
            [
                EXPLAINERS[name].fn(model, part.to(device), classes.to(device)).to(x.device)
                for part, classes in batches
            ]
        )
        for name in names
        if name not in skipped
    }


def make_reference(
    model: nn.Module,
    split: Split,
    index: Tensor,
    explainers: Iterable[str],
    batch_size: int = _BATCH_SIZE,
) -> Reference:
    """Maps and predictions of the full-precision network.

    Parameters
    ----------
    model : nn.Module
        Comes back as it was.
    split : Split
        The test split.
    index : Tensor, int64, shape (n,)
        The evaluation subset, see `evaluation_subset`.
    explainers : iterable of str
        Names in ``EXPLAINERS``; those that do not apply to the model are left out.
    batch_size : int
        Samples in one forward pass.
    """
    model = _channels_last(model)
    predictions = _predictions(model, split, batch_size)
    correct = predictions == split.y
    return Reference(
        index=index,
        maps=explain_all(model, split.x[index], split.y[index], explainers, batch_size),
        predictions=predictions[index],
        correct=correct[index],
        accuracy=correct.double().mean().item(),
    )


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
    is where the mask is neither empty nor full.

    Parameters
    ----------
    maps, reference_maps : mapping of str to Tensor
        Explainer -> maps, shape (n, H, W); of the network and of full precision.
    correct, reference_correct : Tensor, bool, shape (n,)
        Samples that the network, and the full-precision network, classify correctly.
    mask : Tensor, bool, shape (n, H, W), optional
        Ground truth for localisation; without it there are no rows for it.
    metrics : sequence of str, optional
        Names in ``METRICS`` and ``LOCALISATIONS``; all by default.

    Returns
    -------
    list[dict]
        Keys: explainer, metric, subset ("all", "both_correct"), signed (bool; False: computed on
        the maps' magnitudes), mean, std (sample standard deviation over samples), n (samples that
        count). `mean` is NaN if n is 0, `std` if n is below 2.

    Raises
    ------
    ValueError
        If a metric is unknown, or the reference lacks the maps of an explainer.
    """
    if metrics is None:
        metrics = [*METRICS, *LOCALISATIONS]
    _known(metrics, [*METRICS, *LOCALISATIONS])
    if lacking := [name for name in maps if name not in reference_maps]:
        raise ValueError(f"the reference has no maps of {', '.join(lacking)}")

    subsets = {"all": torch.ones_like(correct), "both_correct": correct & reference_correct}
    rows = []
    for explainer, own in maps.items():
        for signed in (True, False):
            a, b = own, reference_maps[explainer]
            if not signed:
                a, b = a.abs(), b.abs()
            comparable = informative(b)
            for metric in metrics:
                if metric in METRICS:
                    values, defined = METRICS[metric].fn(a, b), comparable
                elif mask is not None:
                    values = LOCALISATIONS[metric].fn(a, mask)
                    defined = ~values.isnan()
                else:
                    continue
                for subset, members in subsets.items():
                    rows.append(
                        {
                            "explainer": explainer,
                            "metric": metric,
                            "subset": subset,
                            "signed": signed,
                            **_moments(values[members & defined]),
                        }
                    )
    return rows


def evaluate_network(
    model: nn.Module,
    split: Split,
    reference: Reference,
    explainers: Iterable[str],
    metrics: Sequence[str] | None = None,
    batch_size: int = _BATCH_SIZE,
) -> dict:
    """Evaluate one network as it comes out of its bitstream.

    Parameters
    ----------
    model : nn.Module
        Comes back as it was.
    split : Split
        The test split that the reference was made on.
    reference : Reference
        The full-precision network on the evaluation subset.
    explainers : iterable of str
        Names in ``EXPLAINERS``.
    metrics : sequence of str, optional
        Names in ``METRICS`` and ``LOCALISATIONS``; all by default.
    batch_size : int
        Samples in one forward pass.

    Returns
    -------
    dict
        accuracy : float, on the whole test split, in [0, 1];
        rows : list[dict], see `attribution_rows`;
        maps : dict[str, Tensor], on the evaluation subset, see `explain_all`;
        degenerate : dict[str, int], explainer -> maps that are constant or not finite;
        explainers_skipped : dict[str, str], explainer -> reason.

    Raises
    ------
    ValueError
        If an explainer or a metric is unknown, or the reference does not fit the split.
    """
    names = list(explainers)
    index = reference.index
    if int(index.max()) >= len(split):
        raise ValueError(
            f"the reference uses sample {int(index.max())}, the split has {len(split)}"
        )
    model = _channels_last(model)
    correct = _predictions(model, split, batch_size) == split.y
    maps = explain_all(model, split.x[index], split.y[index], names, batch_size)
    rows = attribution_rows(
        maps,
        reference.maps,
        correct[index],
        reference.correct,
        mask=None if split.mask is None else split.mask[index],
        metrics=metrics,
    )
    return {
        "accuracy": correct.double().mean().item(),
        "rows": rows,
        "maps": maps,
        "degenerate": {name: int((~informative(part)).sum()) for name, part in maps.items()},
        "explainers_skipped": inapplicable(model, names),
    }


def anchor_rows(
    models: Mapping[str, nn.Module],
    split: Split,
    reference: Reference,
    explainers: Iterable[str],
    metrics: Sequence[str] | None = None,
    batch_size: int = _BATCH_SIZE,
) -> list[dict]:
    """Rows of networks between which compressed ones are read: floor, yardstick and ceiling.

    Parameters
    ----------
    models : mapping of str to nn.Module
        Name of the anchor -> network: "identical", the full-precision network itself; "retrained",
        the same architecture from another seed; "random", never trained.
    split, reference, explainers, metrics, batch_size
        See `evaluate_network`.

    Returns
    -------
    list[dict]
        Rows of `attribution_rows`, each with ``method`` (the anchor) and ``point`` ("anchor").
    """
    names = list(explainers)
    return [
        {"method": anchor, "point": "anchor", **row}
        for anchor, model in models.items()
        for row in evaluate_network(model, split, reference, names, metrics, batch_size)["rows"]
    ]


def _channels_last(model: nn.Module) -> nn.Module:
    """Copy of a network with its weights laid out channels last.

    Pooling and convolutions on a CPU take less than half the time in this layout. The copy spares
    the caller's network the change.
    """
    return copy.deepcopy(model).to(memory_format=torch.channels_last)


def _predictions(model: nn.Module, split: Split, batch_size: int) -> Tensor:
    """Predicted classes; -1, which is no class, where a logit is not finite."""
    device = next((parameter.device for parameter in model.parameters()), split.x.device)
    logits = predict(model, split.x.to(device), batch_size).to(split.y.device)
    return torch.where(logits.isfinite().all(dim=1), logits.argmax(dim=1), -1)


def _known(names: Iterable[str], registry: Iterable[str]) -> list[str]:
    names, registry = list(names), list(registry)
    if unknown := [name for name in names if name not in registry]:
        raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(registry)}")
    return names


def _moments(values: Tensor) -> dict[str, float | int]:
    n = len(values)
    return {
        "mean": values.mean().item() if n else math.nan,
        "std": values.std().item() if n > 1 else math.nan,
        "n": n,
    }
