"""Which layer of a network holds the feature map that attributions are read off."""

from __future__ import annotations

import torch
from torch import Tensor

from ecqx.tasks.task import evaluating


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
    ValueError: the model has neither a convolution nor two dense layers.
    """
    ran: list[tuple[str, torch.nn.Module, tuple[int, ...]]] = []
    handles = [
        module.register_forward_hook(
            lambda m, args, out, name=name: ran.append((name, m, tuple(out.shape)))
        )
        for name, module in model.named_modules()
        if not any(True for _ in module.children())
    ]
    try:
        with evaluating(model), torch.no_grad():
            model(sample)
    finally:
        for handle in handles:
            handle.remove()
    convolutions = [
        i for i, (_, module, _) in enumerate(ran) if isinstance(module, torch.nn.Conv2d)
    ]
    if convolutions:
        last = convolutions[-1]
        while last + 1 < len(ran) and ran[last + 1][2] == ran[last][2]:
            last += 1
        return ran[last][0]
    dense = [i for i, (_, m, _) in enumerate(ran) if isinstance(m, torch.nn.Linear)]
    if len(dense) < 2:
        raise ValueError("the model has no feature map: neither a convolution nor a hidden layer")
    return ran[dense[-1] - 1][0]
