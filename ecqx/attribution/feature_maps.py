"""Which layers of a network hold the feature maps that attributions are read off."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ecqx.tasks.task import evaluating


class _Run(NamedTuple):
    """One call of a module in a forward pass."""

    name: str
    module: torch.nn.Module
    output: object

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of the output; None if it is not a tensor."""
        return tuple(self.output.shape) if isinstance(self.output, Tensor) else None


def feature_layer(model: torch.nn.Module, sample: Tensor) -> str:
    """Name of the module whose output is the last feature map of the network.

    The convolution that runs last, or rather the last module behind it that keeps its output's
    shape (normalisation, residual sum, rectifier). Without convolutions, the module whose output
    the last dense layer takes.

    Parameters
    ----------
    sample : Tensor, shape (1, ...)

    Raises
    ------
    ValueError : the model has neither a convolution nor two dense layers, or the convolution that
        runs last is the same module as another that runs behind it.
    """
    leaves, convolutions = _leaves(model, sample)
    if convolutions:
        last = convolutions[-1]
        return _last_of_its_own(leaves, last, _end(leaves, last, len(leaves)))
    dense = [i for i, run in enumerate(leaves) if isinstance(run.module, torch.nn.Linear)]
    if len(dense) < 2:
        raise ValueError("the model has no feature map: neither a convolution nor a hidden layer")
    return leaves[dense[-1] - 1].name


def mid_feature_layer(model: torch.nn.Module, sample: Tensor) -> str:
    """Name of the module whose output is the last feature map of the stage before the last.

    That is the last one that runs with at least four times the positions of the network's last
    feature map. In a network that does not shrink its maps it is the map behind the convolution
    in the middle of all that run, the earlier one of two.

    Parameters
    ----------
    sample : Tensor, shape (1, ...)

    Raises
    ------
    ValueError : the model runs fewer than two convolutions, or the module runs again behind that
        map.
    """
    leaves, convolutions = _leaves(model, sample)
    if len(convolutions) < 2:
        raise ValueError("the model has no feature map before its last")
    last = convolutions[-1]
    finer = [
        i
        for i in range(convolutions[0], last)
        if len(leaves[i].shape or ()) == 4
        and math.prod(leaves[i].shape[2:]) >= 4 * math.prod(leaves[last].shape[2:])
    ]
    if finer:
        return _last_of_its_own(leaves, max(i for i in convolutions if i <= finer[-1]), finer[-1])
    middle = (len(convolutions) - 1) // 2
    first = convolutions[middle]
    return _last_of_its_own(leaves, first, _end(leaves, first, convolutions[middle + 1]))


def _leaves(model: torch.nn.Module, sample: Tensor) -> tuple[list[_Run], list[int]]:
    """What ran and has no parts, in order, and the places of the convolutions in it."""
    leaves = [
        run for run in _forward(model, sample) if not any(True for _ in run.module.children())
    ]
    return leaves, [i for i, run in enumerate(leaves) if isinstance(run.module, torch.nn.Conv2d)]


def _end(leaves: Sequence[_Run], first: int, before: int) -> int:
    """Place of the last of the leaves from `first` on that keep its output's shape."""
    end = first
    while end + 1 < before and leaves[end + 1].shape == leaves[first].shape:
        end += 1
    return end


def _last_of_its_own(leaves: Sequence[_Run], first: int, end: int) -> str:
    """Name of the last leaf from `first` to `end` that does not run again later."""
    # Hooks see the last run of a module; if it runs again later, that output is another one.
    for i in range(end, first - 1, -1):
        if all(run.name != leaves[i].name for run in leaves[i + 1 :]):
            return leaves[i].name
    raise ValueError(f"{leaves[first].name} runs again after its feature map")


def map_shapes(
    model: torch.nn.Module, sample: Tensor, layers: Sequence[str]
) -> dict[str, tuple[int, ...]]:
    """Shape of the feature map that each of the named layers gives for one sample.

    Parameters
    ----------
    sample : Tensor, shape (1, ...)
    layers : names as in ``model.named_modules()``, of single modules or of whole blocks

    Returns
    -------
    dict: name -> (channels, height, width), or (units,) where each unit is a position of its own.

    Raises
    ------
    ValueError : a layer that the model does not have or does not run, or whose output is neither of
        shape (n, channels, height, width) nor (n, units); the message names it.
    """
    known = [name for name, _ in model.named_modules() if name]
    for layer in layers:
        if layer not in known:
            close = difflib.get_close_matches(layer, known)
            listed, kind = (close, "close matches") if close else (known, "expected one of")
            raise ValueError(f"layers: {layer!r} is unknown, {kind}: {', '.join(listed)}")
    # Of a module that runs several times the last run counts, as in `feature_layer`.
    last = {run.name: run for run in _forward(model, sample)}
    for layer in layers:
        if layer not in last:
            raise ValueError(f"layers: {layer!r} is not called in the forward pass of the model")
        shape = last[layer].shape
        if shape is None or len(shape) not in (2, 4):
            kind = type(last[layer].output).__name__
            found = f"a {kind}" if shape is None else f"of shape {shape}"
            raise ValueError(
                f"layers: the output of {layer!r} is {found}, "
                "expected (n, channels, height, width) or (n, units)"
            )
    return {layer: last[layer].shape[1:] for layer in layers}


def _forward(model: torch.nn.Module, sample: Tensor) -> list[_Run]:
    """One forward pass in evaluation mode: what ran, in the order in which it finished."""
    runs: list[_Run] = []
    handles = [
        module.register_forward_hook(
            lambda m, args, out, name=name: runs.append(_Run(name, m, out))
        )
        for name, module in model.named_modules()
    ]
    try:
        with evaluating(model), torch.no_grad():
            model(sample)
    finally:
        for handle in handles:
            handle.remove()
    return runs
