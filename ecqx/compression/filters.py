"""Which parameters go when filters go: their own, and those that take what is zero then.

A network whose filters are pruned keeps its shapes. A filter's weights are zero with its bias and
the entry of its batch norm, and so is what the layers behind have for its output. Of a flattened
map these are all columns of its positions, channel by channel. (The code that the authors of
[park2020wcam] published repeats the mask of channels position by position there, and prunes
columns of other channels.)
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map_only

from ecqx.tasks.task import evaluating

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def filter_layers(model: nn.Module) -> list[str]:
    """Names of the layers whose filters may be pruned: convolutions.

    In a network without any, all dense layers but the last, each unit a filter of its own.
    """
    convolutions = [n for n, module in model.named_modules() if isinstance(module, _CONVOLUTIONS)]
    dense = [n for n, module in model.named_modules() if isinstance(module, nn.Linear)]
    return convolutions or dense[:-1]


def smallest_filters(model: nn.Module, layers: Sequence[str], share: float) -> dict[str, Tensor]:
    """The share of each layer's filters whose L1 norms are largest, rounded up, is kept.

    Source: Li et al. [li2017filters], section 3.1.

    Returns
    -------
    dict : name of the layer -> bool Tensor, shape (filters,), False where pruned
    """
    kept = {}
    for layer in layers:
        norms = model.get_submodule(layer).weight.detach().abs().flatten(1).sum(1)
        # of equal ones the first is kept
        order = norms.argsort(descending=True, stable=True)
        kept[layer] = torch.zeros_like(norms, dtype=torch.bool)
        kept[layer][order[: len(norms) - math.floor(share * len(norms))]] = True
    return kept


def masks_of(model: nn.Module, kept: Mapping[str, Tensor], sample: Tensor) -> dict[str, Tensor]:
    """What stays of all parameters when filters are pruned.

    Found by a forward pass with positive weights and inputs: what is zero then, behind pruned
    filters, is zero whatever weights and inputs are, through rectifiers, pooling, flattening and
    sums. Of layers with other parameters than these, nothing is taken for zero.

    Parameters
    ----------
    model : nn.Module, comes back as it was.
    kept : name of a layer -> bool Tensor, shape (filters,)
    sample : Tensor, shape (1, ...); only its shape and device count

    Returns
    -------
    dict : name of each parameter of a dense or convolutional layer or batch norm that ran -> bool
        Tensor of its shape
    """
    probe = copy.deepcopy(model).double()
    names = {module: name for name, module in probe.named_modules()}
    parameters = {id(parameter): name for name, parameter in probe.named_parameters()}
    masks: dict[str, Tensor] = {}

    def keep(parameter: nn.Parameter | None, mask: Tensor) -> None:
        if parameter is not None:
            name = parameters[id(parameter)]
            # a layer that runs several times keeps what any of its runs needs
            masks[name] = masks.get(name, False) | mask.expand(parameter.shape)
            parameter.copy_(_positive(parameter) * masks[name])

    def before_layer(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        every = torch.ones(len(layer.weight), dtype=torch.bool, device=layer.weight.device)
        rows = kept.get(names[layer], every)
        spread = rows.view(-1, *[1] * (layer.weight.ndim - 1))
        keep(layer.weight, spread & _columns(layer, _alive(inputs[0], layer)))
        keep(layer.bias, rows)

    def behind_norm(norm: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        alive = _alive(inputs[0], norm)
        keep(norm.weight, alive)
        keep(norm.bias, alive)
        return torch.ones_like(output) * alive.view(1, -1, *[1] * (output.ndim - 2))

    def behind_other(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> object:
        return tree_map_only(Tensor, torch.ones_like, output)

    with evaluating(probe), torch.no_grad():
        for parameter in probe.parameters():
            parameter.copy_(_positive(parameter))
        for module in probe.modules():
            if isinstance(module, (nn.Linear, *_CONVOLUTIONS)):
                module.register_forward_pre_hook(before_layer)
            elif isinstance(module, _BatchNorm):
                module.register_forward_hook(behind_norm)
            elif any(True for _ in module.parameters(recurse=False)):
                module.register_forward_hook(behind_other)
        probe(torch.ones_like(sample, dtype=torch.float64))
    return masks


def _alive(x: Tensor, module: nn.Module) -> Tensor:
    """Which channels of what a module takes are anything but zero."""
    axis = x.ndim - 1 if isinstance(module, nn.Linear) else 1
    return x.movedim(axis, 0).flatten(1).any(1)


def _columns(layer: nn.Module, alive: Tensor) -> Tensor:
    """Which weights take an input that is not always zero, in a shape that spreads to theirs."""
    if isinstance(layer, nn.Linear):
        return alive[None]
    own = alive.view(layer.groups, 1, -1).expand(-1, len(layer.weight) // layer.groups, -1)
    return own.reshape(*layer.weight.shape[:2], *[1] * (layer.weight.ndim - 2))


def _positive(values: Tensor) -> Tensor:
    """Values with which a layer gives a mean of its inputs."""
    return torch.full_like(values, 1 / values[0].numel() if values.ndim > 1 else 1.0)
