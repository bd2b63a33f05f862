"""Relevance of weights: how much of a decision flows through each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from zennit.types import ConvolutionStandard

from ecqx.compression import lrp
from ecqx.compression.lrp_rules import weight_gradient

STARTS = ("output", "ones", "probability")
_EPSILON = 1e-6


def weight_relevance(
    model: torch.nn.Module,
    x: Tensor,
    target: Tensor,
    *,
    composite: str = "epsilon_plus_flat",
    batch_norm: str = "merge",
    start: str = "output",
) -> dict[str, Tensor]:
    """LRP relevance of every linear and convolutional weight, summed over a batch.

    For a layer with input a, output z and relevance R arriving at z, the relevance of its weight
    is  w * d/dw <z, R / (z + eps sign z)>  with the second factor held constant: one contraction
    of a with R / z, as for a weight gradient. Input and output are those of LRP's own pass.

    Source: ECQx (arXiv 2109.04236), eq. 8 to 10.

    Parameters
    ----------
    model : network whose layers all have a rule; it runs in evaluation mode and comes back with
        parameters, gradients, hooks and training mode as they were, also after an exception.
    x : float Tensor, shape (batch, ...)
    target : int64 Tensor, shape (batch,), the class whose output is explained
    composite, batch_norm : see :func:`ecqx.compression.lrp.composite`
    start : relevance at the target's output: its logit (``output``), 1 (``ones``) or its softmax
        probability (``probability``), each divided by the batch size

    Returns
    -------
    dict: parameter name -> float Tensor of the parameter's shape, signed.

    Raises
    ------
    ValueError: a layer without a rule, an unknown composite, batch-norm treatment or start.
    """
    if start not in STARTS:
        raise ValueError(f"start: {start!r} is unknown, expected one of {', '.join(STARTS)}")
    rules = lrp.composite(composite, batch_norm=batch_norm)
    lrp.check_rules(model)
    layers = {
        f"{name}.weight" if name else "weight": module
        for name, module in model.named_modules()
        if isinstance(module, (torch.nn.Linear, ConvolutionStandard))
    }
    relevance = {}
    with _evaluating(model), torch.enable_grad(), rules.context(model) as modified:
        with _tapped(layers) as taps:
            # Rules act where gradients flow, so the input takes part even if weights are frozen.
            logits = modified(x.detach().clone().requires_grad_())
            seed = _start_relevance(logits.detach(), target, start)
            outputs = [taps[name][1] for name in layers]
            arriving = torch.autograd.grad(logits, outputs, grad_outputs=seed)
        for (name, layer), relevance_out in zip(layers.items(), arriving, strict=True):
            activation, output = taps[name]
            output = output.detach()
            ratio = relevance_out / (output + _EPSILON * output.sign())
            # z = 0 carries no relevance; without this 0 / 0 would spread NaN.
            ratio = torch.where(output == 0, 0.0, ratio)
            relevance[name] = weight_gradient(layer, activation, ratio).mul_(layer.weight.detach())
    return relevance


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode inside; outside, every module's own mode as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _tapped(layers: dict[str, torch.nn.Module]) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """Record input and output of each layer during a forward pass inside the block."""
    taps: dict[str, tuple[Tensor, Tensor]] = {}
    handles = [
        layer.register_forward_hook(
            lambda _, args, output, name=name: taps.update({name: (args[0].detach(), output)})
        )
        for name, layer in layers.items()
    ]
    try:
        yield taps
    finally:
        for handle in handles:
            handle.remove()


def _start_relevance(logits: Tensor, target: Tensor, start: str) -> Tensor:
    """Shape (batch, classes): zero but for the target's output, divided by the batch size."""
    chosen = torch.nn.functional.one_hot(target, logits.shape[1]).to(logits.dtype)
    value = {
        "output": lambda: logits,
        "ones": lambda: torch.ones_like(logits),
        "probability": lambda: logits.softmax(1),
    }[start]()
    return chosen * value / len(logits)
