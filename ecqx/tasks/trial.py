"""Whether a network makes logits, in training as in evaluation, tried before it is used."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ecqx.tasks.plain import plain
from ecqx.tasks.task import device_of


def tried_logits(model: nn.Module, x: Tensor, classes: int | None = None) -> Tensor:
    """What the network makes of a few inputs in evaluation mode; network and generators stay as is.

    Parameters
    ----------
    model : nn.Module
    x : Tensor, shape (n, ...), at least two inputs: one has no batch statistics; taken to the
        model's device.
    classes : int, optional; how many there are. By default as many as the network says.

    Returns
    -------
    Tensor, float, shape (n, classes); without gradient.

    Raises
    ------
    ValueError : as :func:`ecqx.tasks.plain.check_modules`; or in one of the modes the network
        cannot take such inputs, or gives something else than such logits, or in training mode such
        as it cannot be trained by. One line.
    """
    # a copy: training mode changes running statistics
    network = plain(model)
    x = x.to(device_of(network, x.device))
    logits = _logits(network.eval(), x, classes, "")
    shown = _logits(network.train(), x, logits.shape[1], " in training mode")
    if any(True for _ in network.parameters()) and not shown.requires_grad:
        raise ValueError(
            "gives logits from which no gradient leads back in training mode, expected a forward "
            "pass without torch.no_grad, detach and the like"
        )
    return logits.detach()


def _logits(network: nn.Module, x: Tensor, classes: int | None, when: str) -> Tensor:
    try:
        with torch.enable_grad(), torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            logits = network(x)
    # whatever the user's code raises, one line of it is enough for the user
    except Exception as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"cannot take inputs of shape {tuple(x.shape)}{when}: {cause}") from error
    expected = f"({len(x)}, {classes or 'classes'})"
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        found = getattr(logits, "dtype", type(logits).__name__)
        raise ValueError(f"gives {found}{when}, expected float logits of shape {expected}")
    if (
        logits.ndim != 2
        or len(logits) != len(x)
        or (classes is not None and logits.shape[1] != classes)
    ):
        raise ValueError(f"gives logits of shape {tuple(logits.shape)}{when}, expected {expected}")
    return logits
