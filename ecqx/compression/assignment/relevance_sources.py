"""Where the relevance of ECQx comes from: LRP, and the controls that it has to beat.

A source is called with the quantized model, the shadow weights, and the minibatch of a training
step whose loss has just been propagated back, and returns a new tensor per weight, by name. Only
ranking and spread within a tensor matter: the assignment divides by the largest magnitude.

LRP as in ECQx [becking2021ecqx], section 4.2; |w| as in magnitude pruning [han2015connections];
|w g| is first-order saliency [molchanov2017pruning], (w g)^2 the empirical Fisher information
times the squared weight [theis2018fisher].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from ecqx.compression.contract import quantizable
from ecqx.tasks.task import evaluating

RelevanceSource = Callable[
    [torch.nn.Module, Mapping[str, Tensor], Tensor, Tensor], Mapping[str, Tensor]
]

SOURCES = ("lrp", "magnitude", "gradient", "fisher", "shuffled", "constant")
NEEDS_RULES = ("lrp", "shuffled")  # of LRP, for every layer
RELEVANCE_OF = ("quantized", "shadow")

_MANY = 1 << 22  # activations of a minibatch that are worth halving: 16 MiB


def relevance_source(
    name: str,
    *,
    relevance_of: str,
    composite: str,
    batch_norm: str,
    start: str,
    rng: torch.Generator,
) -> RelevanceSource:
    """A source by name.

    Parameters
    ----------
    name : ``lrp``; ``magnitude`` |w|; ``gradient`` |w g|; ``fisher`` (w g)^2; ``shuffled``, LRP
        under a permutation within each tensor, drawn once, so that size, spread and steadiness of
        the relevance stay and only its place is lost; ``constant``, which makes ECQx equal to ECQ.
    relevance_of : the weights that relevance belongs to. Relevance is proportional to the weight,
        so a ``quantized`` weight that is zero has none and stays among the first to be zero; the
        ``shadow`` weight behind it keeps its relevance and can come back.
    composite, batch_norm, start : see :func:`ecqx.attribution.weight_relevance.weight_relevance`
    rng : its seed, not its state, decides on the permutations

    Raises
    ------
    ValueError : an unknown name.
    """

    def lrp(model, shadows, x, y):
        # Brings in zennit, a second of start-up that the other sources need not pay.
        from ecqx.attribution.weight_relevance import weight_relevance

        if not parts:
            parts.append(_parts(model, x))
        explained = shadows if relevance_of == "shadow" else {}
        with _weights_replaced(model, explained):
            return weight_relevance(
                model,
                x,
                y,
                composite=composite,
                batch_norm=batch_norm,
                start=start,
                parts=parts[0],
            )

    def shuffled(model, shadows, x, y):
        relevance = lrp(model, shadows, x, y)
        for key, value in relevance.items():
            if key not in permutations:
                order = torch.randperm(value.numel(), generator=shuffler)
                permutations[key] = order.to(value.device)
            relevance[key] = value.flatten()[permutations[key]].view_as(value)
        return relevance

    def of_weights(formula):
        def source(model, shadows, x, y):
            result = {}
            for key, weight in quantizable(model).items():
                value = shadows[key] if relevance_of == "shadow" else weight.detach()
                gradient = torch.zeros_like(value) if weight.grad is None else weight.grad
                result[key] = formula(value, gradient)
            return result

        return source

    parts: list[int] = []  # known with the first minibatch
    shuffler = torch.Generator().manual_seed((rng.initial_seed() + 1) % 2**63)
    permutations: dict[str, Tensor] = {}
    sources = {
        "lrp": lrp,
        "magnitude": of_weights(lambda w, g: w.abs()),
        "gradient": of_weights(lambda w, g: (w * g).abs()),
        "fisher": of_weights(lambda w, g: (w * g).square()),
        "shuffled": shuffled,
        "constant": of_weights(lambda w, g: torch.ones_like(w)),
    }
    if name not in sources:
        raise ValueError(f"relevance: {name!r} is unknown, expected one of {', '.join(SOURCES)}")
    return sources[name]


def _parts(model: torch.nn.Module, x: Tensor) -> int:
    """In how many pieces LRP takes a minibatch.

    It holds about half as many activations again as the training step does. Where these are most of
    the memory, more than the weights and more than a few MiB, two halves keep it below the peak of
    the training step, and cost no time; where they are not, halves would cost up to twice the time.
    """
    sizes: list[int] = []
    handles = [
        module.register_forward_hook(
            lambda m, args, out: sizes.append((out if isinstance(out, Tensor) else out[0]).numel())
        )
        for module in model.modules()
        if any(weight.ndim > 1 for weight in module.parameters(recurse=False))
    ]
    try:
        with evaluating(model), torch.no_grad():
            model(x[:1])
    finally:
        for handle in handles:
            handle.remove()
    weights = sum(weight.numel() for weight in quantizable(model).values())
    activations = len(x) * sum(sizes)
    return 2 if len(x) > 1 and activations > max(weights, _MANY) else 1


@contextmanager
def _weights_replaced(model: torch.nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Run a block with other values in some of the model's parameters; nothing is copied."""
    parameters = dict(model.named_parameters())
    own = {name: parameters[name].data for name in weights}
    try:
        for name, value in weights.items():
            parameters[name].data = value
        yield
    finally:
        for name, value in own.items():
            parameters[name].data = value
