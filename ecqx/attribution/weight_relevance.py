"""Relevance of weights: how much of a decision flows through each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from zennit.types import ConvolutionStandard

from ecqx.attribution import lrp
from ecqx.attribution.dataflow import dataflow
from ecqx.attribution.lrp_rules import stabilised, weight_gradient
from ecqx.tasks.task import evaluating, out_of_place

STARTS = ("output", "ones", "probability")


def weight_relevance(
    model: torch.nn.Module,
    x: Tensor,
    target: Tensor,
    *,
    composite: str = "epsilon_plus_flat",
    batch_norm: str = "merge",
    start: str = "output",
    parts: int = 1,
) -> dict[str, Tensor]:
    """LRP relevance of every weight that takes part in products or sums, summed over a batch.

    For a layer with input a, output z and relevance R arriving at z, the relevance of its weight
    is  w * d/dw <z, R / (z + eps sign z)>  with the second factor held constant: one contraction
    of a with R / z, as for a weight gradient. Input and output are those of LRP's own pass. Weights
    that ``forward`` uses itself follow the same formula: a term of a sum (a position embedding) has
    its share, a factor (of a layer scale) what arrives at the product.

    Source: [becking2021ecqx], eq. 8 to 10.

    Parameters
    ----------
    model : network whose layers all have a rule; it runs in evaluation mode and comes back with
        parameters, gradients, hooks and training mode as they were, also after an exception.
    x : float Tensor, shape (batch, ...)
    target : the class whose output is explained, int64 Tensor, shape (batch,); or several classes
        per sample, bool Tensor, shape (batch, classes)
    composite, batch_norm : see :func:`ecqx.attribution.lrp.composite`
    start : relevance at the target's output: its logit (``output``), 1 (``ones``) or its softmax
        probability (``probability``; sigmoid with several classes), each divided by the batch size
    parts : int >= 1; the batch is explained in that many pieces, one after the other, which bounds
        the memory and changes nothing but rounding

    Returns
    -------
    dict: parameter name -> float Tensor of the parameter's shape, signed. A layer that takes no
    part in the output (an auxiliary head) is absent, and so is one that relevance does not reach
    (it makes the gate of a product).

    Raises
    ------
    ValueError : a layer without a rule, an unknown composite, batch-norm treatment or start.
    """
    layers = _layers(model)
    relevance: dict[str, Tensor] = {}

    def contract(name: str, activation: Tensor, output: Tensor, arriving: Tensor) -> None:
        # z = 0 carries no relevance
        ratio = (arriving / stabilised(output)).masked_fill_(output == 0, 0.0)
        share = weight_gradient(layers[name], activation, ratio).mul_(layers[name].weight.detach())
        relevance[name] = relevance[name] + share if name in relevance else share

    used = dataflow(model).weights
    how = composite, batch_norm, start, parts
    for found in _propagate(model, layers, x, target, contract, *how, used):
        for name, share in found.items():
            relevance[name] = relevance[name] + share if name in relevance else share
    return {name: relevance[name] for name in (*layers, *used) if name in relevance}


def output_relevance(
    model: torch.nn.Module,
    x: Tensor,
    target: Tensor,
    *,
    composite: str = "epsilon_plus_flat",
    batch_norm: str = "merge",
    start: str = "output",
) -> dict[str, Tensor]:
    """How much LRP relevance, of either sign, arrives at the output of each layer.

    Parameters
    ----------
    model, x, target, composite, batch_norm, start : see :func:`weight_relevance`

    Returns
    -------
    dict: name of the layer's weight -> float Tensor, shape (batch, positions): magnitudes, summed
    over channels; positions are those of a convolution's output or of a sequence, one for others.
    A layer that takes no part in the output is absent; so is one that runs several times.

    Raises
    ------
    ValueError : as :func:`weight_relevance`.
    """
    layers = _layers(model)
    found: dict[str, list[Tensor]] = {}

    def keep(name: str, activation: Tensor, output: Tensor, arriving: Tensor) -> None:
        channels = -1 if isinstance(layers[name], torch.nn.Linear) else 1
        magnitude = arriving.abs().sum(dim=channels)
        found.setdefault(name, []).append(magnitude.reshape(len(magnitude), -1))

    for _ in _propagate(model, layers, x, target, keep, composite, batch_norm, start, 1):
        pass
    return {name: found[name][0] for name in layers if len(found.get(name, ())) == 1}


def _layers(model: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """The linear and convolutional layers, by the names of their weights."""
    return {
        f"{name}.weight" if name else "weight": module
        for name, module in model.named_modules()
        if lrp.is_one_of(type(module), (torch.nn.Linear, ConvolutionStandard))
    }


def _propagate(
    model: torch.nn.Module,
    layers: dict[str, torch.nn.Module],
    x: Tensor,
    target: Tensor,
    contract: Callable[[str, Tensor, Tensor, Tensor], None],
    composite: str,
    batch_norm: str,
    start: str,
    parts: int,
    used: Sequence[str] = (),
) -> Iterator[dict[str, Tensor]]:
    """Send relevance down; each layer's input, output and what arrives there go to ``contract``.

    Piece by piece, yields the relevance of the weights that are ``used`` by ``forward`` itself.
    """
    if start not in STARTS:
        raise ValueError(f"start: {start!r} is unknown, expected one of {', '.join(STARTS)}")
    rules = lrp.composite(composite, batch_norm=batch_norm)
    lrp.check_rules(model)
    weights = {name: model.get_parameter(name) for name in used}
    with (
        evaluating(model),
        out_of_place(model),
        torch.enable_grad(),
        _free(weights.values()),
        rules.context(model) as modified,
    ):
        for piece, classes in zip(x.detach().chunk(parts), target.chunk(parts), strict=True):
            with _tapped(layers, contract) as roots:
                logits = modified(piece)
                seed = _start_relevance(logits.detach(), classes, start) / len(x)
                ends = [*(output for _, _, output in roots), *weights.values()]
                arriving = torch.autograd.grad(logits, ends, grad_outputs=seed, allow_unused=True)
            for (name, activation, output), arrived in zip(roots, arriving, strict=False):
                if arrived is not None:
                    contract(name, activation, output.detach(), arrived)
            of_weights = zip(weights, arriving[len(roots) :], strict=True)
            yield {name: share for name, share in of_weights if share is not None}


@contextmanager
def _free(weights: Iterable[Tensor]) -> Iterator[None]:
    """These weights require gradients inside; afterwards as they were."""
    frozen = [weight for weight in weights if not weight.requires_grad]
    try:
        for weight in frozen:
            weight.requires_grad_(True)
        yield
    finally:
        for weight in frozen:
            weight.requires_grad_(False)


@contextmanager
def _tapped(
    layers: dict[str, torch.nn.Module], contract: Callable[[str, Tensor, Tensor, Tensor], None]
) -> Iterator[list[tuple[str, Tensor, Tensor]]]:
    """Call ``contract`` for each layer in the block with its input, output and arriving relevance.

    It is called while relevance comes by, so that neither relevance nor activations of all layers
    are held at once. The layers that relevance reaches last, those that take the input itself,
    are left to the caller: name, input and output, where the backward pass may stop.
    """
    roots: list[tuple[str, Tensor, Tensor]] = []

    def tap(name: str, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        activation = args[0].detach()
        if not args[0].requires_grad:
            leaf = output.detach().requires_grad_()
            roots.append((name, activation, leaf))
            return leaf
        held = [activation, output.detach()]

        def arrive(arriving: Tensor) -> None:
            contract(name, *held, arriving)
            held.clear()

        output.register_hook(arrive)
        return None

    handles = [
        layer.register_forward_hook(lambda _, args, output, name=name: tap(name, args, output))
        for name, layer in layers.items()
    ]
    try:
        yield roots
    finally:
        for handle in handles:
            handle.remove()


def _start_relevance(logits: Tensor, target: Tensor, start: str) -> Tensor:
    """Shape (batch, classes): zero but for the outputs of the target."""
    several = target.ndim == 2
    chosen = target if several else torch.nn.functional.one_hot(target, logits.shape[1])
    value = {
        "output": lambda: logits,
        "ones": lambda: torch.ones_like(logits),
        "probability": lambda: logits.sigmoid() if several else logits.softmax(1),
    }[start]()
    return chosen.to(logits.dtype) * value
