"""Batch norms as one scale and one shift per channel.

In evaluation mode a batch norm computes g * x + d with g = weight / sqrt(running_var + eps) and
d = bias - running_mean * g: two numbers a channel instead of four. They are kept as weight and bias
of a batch norm with mean 0 and variance 1, not multiplied into the layer before it: quantized
weights stay multiples of one step, and relevance sees the same layers. The bias of a layer whose
output the batch norm alone takes is part of the shift, and a channel of which all weights are zero
needs no scale.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ecqx.attribution.dataflow import dataflow
from ecqx.compression.artefact.layout import COUNTER, NORM_TENSORS, folds


def folded(state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """A state dict that computes the same in evaluation mode, its batch norms reduced.

    Weight and bias of each batch norm (see :func:`ecqx.compression.artefact.layout.folds`) are its
    scale and shift, its mean is 0, its variance 1, its counter 0. Computed in float64.

    Parameters
    ----------
    state : state dict of the model; weights may be whatever is zero where they are
    model : whose layers say which tensors belong together; its own values are not looked at
    """
    result = dict(state)
    before = _layers_before(model)
    for name, norm in model.named_modules():
        if not folds(norm):
            continue
        names = {own: f"{name}.{own}" if name else own for own in (*NORM_TENSORS, COUNTER)}
        weight, bias, mean, variance = (result[names[own]].double() for own in NORM_TENSORS)
        scale = weight / torch.sqrt(variance + norm.eps)
        shift = bias - mean * scale
        if name in before:
            layer = before[name]
            if f"{layer}.bias" in result:
                shift = shift + result[f"{layer}.bias"].double() * scale
                result[f"{layer}.bias"] = torch.zeros_like(result[f"{layer}.bias"])
            rows = result[f"{layer}.weight"].flatten(1)
            scale = torch.where((rows == 0).all(dim=1), 0.0, scale)
        # the batch norm divides by sqrt(1 + eps)
        scale = scale * (1 + norm.eps) ** 0.5
        for own, value in zip(
            NORM_TENSORS, (scale, shift, torch.zeros_like(mean), torch.ones_like(variance)),
            strict=True,
        ):  # fmt: skip
            result[names[own]] = value.to(torch.float32)
        if names[COUNTER] in result:
            result[names[COUNTER]] = torch.zeros_like(result[names[COUNTER]])
    return result


def _layers_before(model: nn.Module) -> dict[str, str]:
    """Batch norm -> the layer whose output it alone takes and that shares no tensor with others.

    None where the forward pass cannot be traced.
    """
    try:
        pairs = dataflow(model).normalised
    except ValueError:
        return {}
    uses: dict[int, int] = {}
    for _, tensor in model.named_parameters(remove_duplicate=False):
        uses[id(tensor)] = uses.get(id(tensor), 0) + 1
    found = {}
    for layer, norm in pairs:
        module = model.get_submodule(layer)
        own = [tensor for tensor in (module.weight, module.bias) if tensor is not None]
        transposed = getattr(module, "transposed", False)
        if not transposed and all(uses[id(tensor)] == 1 for tensor in own):
            found[norm] = layer
    return found
