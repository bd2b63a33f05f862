"""Second moments of the inputs of each weight, the metric in which rounding errors count.

A layer's output error is quadratic in the error of its weights, with the second moments of its
inputs as the matrix: H = sum over samples and positions of x x^T / n, x the inputs that one output
takes. All rows of a weight share it; those of a grouped convolution share one per group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvTransposeNd

from ecqx.tasks.task import device_of, evaluating, samples_at_once

_UNFOLDED = (nn.Conv1d, nn.Conv2d)
_MOST_EXPLAINED = 64


Importance = Callable[[nn.Module, Tensor, Tensor], dict[str, Tensor]]
"""(model, x, y) -> name of a weight -> non-negative Tensor, shape (batch, positions)."""


def input_moments(
    model: nn.Module, x: Tensor, y: Tensor | None = None, importance: Importance | None = None
) -> dict[str, Tensor]:
    """Second moments of the inputs of every linear and convolutional weight.

    Parameters
    ----------
    model : nn.Module, comes back as it was; runs in evaluation mode.
    x : float32 Tensor, shape (n, ...); calibration inputs, taken to the model's device.
    y : Tensor, their labels, where there is an importance
    importance : optional; how much each output's errors count, by sample and position, so that the
        moments are sum r x x^T / sum r. Weights that it does not name have r = 1 throughout.

    Returns
    -------
    dict : name of the weight -> float64 Tensor, shape (groups, k, k) with k the inputs that one
        output takes, on the CPU; in the order in which they are registered. Weights of other layers
        (transposed and three-dimensional convolutions, embeddings) are absent, and so are those
        that did not run.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, float] = {}
    counting: dict[str, Tensor] = {}  # importance of the batch that runs
    names = {id(parameter): name for name, parameter in model.named_parameters()}

    def observe(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        name = names[id(module.weight)]
        taken = _taken(module, inputs[0].detach())
        counts[name] = counts.get(name, 0.0)
        if name in counting:
            share = counting[name].flatten().to(taken)
            counts[name] += float(share.sum(dtype=torch.float64))
            moments = torch.einsum("gki,gli->gkl", taken * share, taken).double().cpu()
        else:
            counts[name] += taken.shape[2]
            moments = torch.einsum("gki,gli->gkl", taken, taken).double().cpu()
        sums[name] = sums[name] + moments if name in sums else moments

    device, size = device_of(model, x.device), samples_at_once(x.shape[1:])
    if importance is not None:
        size = min(size, _MOST_EXPLAINED)
    labels = x if y is None else y
    for part, of in zip(x.split(size), labels.split(size), strict=True):
        part = part.to(device)
        if importance is not None:
            counting = importance(model, part, of.to(device))
        handles = [module.register_forward_hook(observe) for module in _layers(model)]
        try:
            with evaluating(model), torch.no_grad():
                model(part)
        finally:
            for handle in handles:
                handle.remove()
    # where nothing counts, any metric does
    return {name: sums[name] / (counts[name] or 1.0) for name in names.values() if name in sums}


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    for module in model.modules():
        if isinstance(module, (nn.Linear, *_UNFOLDED)) and not isinstance(module, _ConvTransposeNd):
            yield module


def _taken(module: nn.Module, x: Tensor) -> Tensor:
    """What each output takes, shape (groups, inputs of an output, outputs and samples)."""
    if isinstance(module, nn.Linear):
        return x.reshape(-1, module.in_features).T[None]
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    x = functional.pad(x, module._reversed_padding_repeated_twice, mode=mode)
    shape, dilation, stride = module.kernel_size, module.dilation, module.stride
    if isinstance(module, nn.Conv1d):
        x, shape, dilation, stride = x[:, :, None], (1, *shape), (1, *dilation), (1, *stride)
    columns = functional.unfold(x, shape, dilation=dilation, stride=stride)
    n, k, positions = columns.shape
    groups = module.groups
    return columns.reshape(n, groups, k // groups, positions).permute(1, 2, 0, 3).flatten(2)
