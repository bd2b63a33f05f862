"""How much a network minds an error of each of its weights, and the controls.

But for ``loss``, which is measured for each candidate, a sensitivity is one number for a weight, by
which its error is multiplied.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ecqx.compression.allocation.candidates import Candidates
from ecqx.compression.allocation.loss_changes import loss_changes
from ecqx.compression.contract import quantizable
from ecqx.tasks.task import Loss, Task, device_of, evaluating

SENSITIVITIES = ("loss", "hessian", "lrp", "shuffled", "constant")
NEEDS_RULES = ("lrp", "shuffled")  # of LRP, for every layer
_MOST_EXPLAINED = 64


def costs(
    name: str,
    model: torch.nn.Module,
    candidates: Candidates,
    x: Tensor,
    y: Tensor,
    task: Task,
    rng: torch.Generator,
) -> np.ndarray:
    """What each candidate costs: its sensitivity times its error, or the loss that it adds.

    Parameters
    ----------
    name : ``loss``, the change of the loss with this candidate alone; ``hessian``, the error times
        the mean curvature, see :func:`curvatures`; ``lrp``, times the weight's relevance, see
        :func:`relevances`; ``shuffled``, the same numbers in random order; ``constant``, the error
    model : full-precision network, comes back as it was
    x, y : calibration samples
    rng : what the permutation is drawn from

    Returns
    -------
    float64 array, shape (weights, candidates)
    """
    if name == "loss":
        return loss_changes(model, candidates, x, y, task.loss)
    if name == "constant":
        return candidates.errors
    factors = curvatures(model, x, y, task.loss) if name == "hessian" else relevances(model, x, y)
    values = np.array([factors[weight] for weight in candidates.codes])
    if name == "shuffled":
        values = values[torch.randperm(len(values), generator=rng).numpy()]
    return values[:, None] * candidates.errors


def curvatures(model: torch.nn.Module, x: Tensor, y: Tensor, loss: Loss) -> dict[str, float]:
    """Mean curvature of the loss along each weight, times the weight's squared norm.

    The curvature is that of the empirical Fisher information: its trace is the mean over samples of
    the squared norm of the gradient. Divided by the number of elements, times the squared norm of
    an error, it is what a candidate costs in HAWQ-V2 [dong2020hawqv2]; with errors relative to the
    weight, it comes times the weight's.

    Parameters
    ----------
    model : comes back as it was; runs in evaluation mode, on one sample at a time
    x, y : samples
    loss : (logits, y) -> scalar

    Returns
    -------
    dict : name -> float >= 0, in the order of the weights; 0 where the loss does not depend on it
    """
    device, weights = device_of(model, x.device), quantizable(model)
    traces = dict.fromkeys(weights, 0.0)
    with evaluating(model), torch.enable_grad():
        for one, of in zip(x.split(1), y.split(1), strict=True):
            own = loss(model(one.to(device)), of.to(device))
            gradients = torch.autograd.grad(own, list(weights.values()), allow_unused=True)
            for name, gradient in zip(weights, gradients, strict=True):
                if gradient is not None:
                    traces[name] += float(gradient.double().square().sum()) / len(x)
    return {
        name: traces[name] * float(weight.detach().double().square().mean())
        for name, weight in weights.items()
    }


def relevances(model: torch.nn.Module, x: Tensor, y: Tensor) -> dict[str, float]:
    """Sum over the elements of each weight of the magnitude of their LRP relevance.

    Relevance is that for the labels, summed over samples, see
    :func:`ecqx.attribution.weight_relevance.weight_relevance`.

    Returns
    -------
    dict : name -> float >= 0, in the order of the weights; that of a weight without relevance,
        which belongs to no linear or convolutional layer that takes part, is the mean of the others
    """
    # Brings in zennit, a second of start-up that the other sources need not pay.
    from ecqx.attribution.weight_relevance import weight_relevance

    device, sums = device_of(model, x.device), {}
    for part, of in zip(x.split(_MOST_EXPLAINED), y.split(_MOST_EXPLAINED), strict=True):
        found = weight_relevance(model, part.to(device), of.to(device))
        for name, own in found.items():
            own = own * (len(part) / len(x))
            sums[name] = sums[name] + own if name in sums else own
    totals = {name: float(own.abs().sum(dtype=torch.float64)) for name, own in sums.items()}
    mean = sum(totals.values()) / len(totals) if totals else 1.0
    return {name: totals.get(name, mean) for name in quantizable(model)}
