"""Sanity check of explainers: does the map of another class look otherwise?

Random logit test of Sixt et al. [sixt2020lie]: the trained network is asked about a class
drawn from all others, and the map compared with that of the label. An explainer whose map stays as
it is does not explain the decision for a class.
"""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ecqx.evaluation.evaluate import explain_all
from ecqx.evaluation.randomisation import comparisons, known_metrics


def random_logit_rows(
    model: nn.Module,
    x: Tensor,
    target: Tensor,
    classes: int,
    explainers: Iterable[str],
    metrics: Iterable[str],
    rng: torch.Generator,
    background: Tensor | None = None,
) -> list[dict]:
    """Consistency of the maps of other classes with those of the targets.

    Parameters
    ----------
    classes : int, number of classes, at least 2. What is drawn for a sample with several labels may
        be another one of these.
    rng : torch.Generator, on the CPU; which class is drawn depends on its state alone.
    model, x, target, explainers, metrics, background : see
        `ecqx.evaluation.randomisation.randomisation_rows`.

    Returns
    -------
    list[dict]
        Keys: explainer, metric, signed, mean, std, n, as `randomisation_rows` returns them.

    Raises
    ------
    ValueError : an explainer or a metric is unknown, shapes do not fit, or there is one class only.
    """
    metrics = known_metrics(metrics)
    other = other_classes(target, classes, rng)
    explainers = list(explainers)
    network = copy.deepcopy(model).to(memory_format=torch.channels_last)
    of_target, of_other = (
        explain_all(network, x, asked, explainers, background=background)
        for asked in (target, other)
    )
    return comparisons(of_other, of_target, metrics)


def other_classes(target: Tensor, classes: int, rng: torch.Generator) -> Tensor:
    """For each target a class drawn from all others, each of these alike; int64, shape (n,).

    Raises
    ------
    ValueError : there is no other class.
    """
    if classes < 2:
        raise ValueError(f"classes: expected at least 2, got {classes}")
    steps = torch.randint(1, classes, target.shape, generator=rng).to(target.device)
    return (target + steps) % classes
