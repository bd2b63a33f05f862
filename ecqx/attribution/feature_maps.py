"""Which layers of a network hold the feature maps that attributions are read off."""

from __future__ import annotations

import difflib
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
    leaves = [
        run for run in _forward(model, sample) if not any(True for _ in run.module.children())
    ]
    convolutions = [i for i, run in enumerate(leaves) if isinstance(run.module, torch.nn.Conv2d)]
    if convolutions:
        last = end = convolutions[-1]
        while end + 1 < len(leaves) and leaves[end + 1].shape == leaves[last].shape:
            end += 1
        # Hooks see the last run of a module; if it runs again later, that output is another one.
        for i in range(end, last - 1, -1):
            if all(run.name != leaves[i].name for run in leaves[i + 1 :]):
                return leaves[i].name
        raise ValueError(f"{leaves[last].name} runs again after the last feature map")
    dense = [i for i, run in enumerate(leaves) if isinstance(run.module, torch.nn.Linear)]
    if len(dense) < 2:
        raise ValueError("the model has no feature map: neither a convolution nor a hidden layer")
    return leaves[dense[-1] - 1].name


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
