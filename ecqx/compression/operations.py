"""How much a network computes for one input."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from ecqx.tasks.task import evaluating


def multiply_accumulates(model: nn.Module, sample: Tensor) -> int:
    """Products of a weight that is not zero with an activation, for one input.

    Those of dense and convolutional layers: each weight counts once for each position of the
    output (of the input, where the convolution is transposed). What the layers' padding multiplies
    counts; biases, normalisation, and products in ``forward`` itself do not.

    Parameters
    ----------
    model : nn.Module, comes back as it was; runs in evaluation mode.
    sample : Tensor, shape (1, ...)
    """
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Linear):
            positions = output.numel() // layer.out_features
        else:
            taken = inputs[0] if isinstance(layer, _ConvTransposeNd) else output
            positions = taken[0, 0].numel()
        total += int(layer.weight.count_nonzero()) * positions

    handles = [
        module.register_forward_hook(count)
        for module in model.modules()
        if isinstance(module, nn.Linear | _ConvNd)
    ]
    try:
        with evaluating(model), torch.no_grad():
            model(sample)
    finally:
        for handle in handles:
            handle.remove()
    return total
