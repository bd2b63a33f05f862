"""Compressed networks of another architecture than the model they were made of."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from ecqx.tasks.plain import plain
from ecqx.tasks.task import Task


def network_of(
    architecture: Mapping[str, Any], model: torch.nn.Module, task: Task
) -> torch.nn.Module:
    """The network whose state a compressed one has: the model, or one that ``task.build`` makes.

    Parameters
    ----------
    architecture : see :class:`ecqx.compression.contract.Compressed`; empty: the model
    model : is given back as it is, where it is the one

    Returns
    -------
    nn.Module : where it is another, untrained, in evaluation mode and with plain weights

    Raises
    ------
    ValueError : the task builds no network, or none of such an architecture.
    """
    if not architecture:
        return model
    if task.build is None:
        raise ValueError(
            f"{task.name}: there is no function that builds the model in another architecture"
        )
    known = inspect.signature(task.build).parameters
    unknown = [name for name in architecture if name not in known]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        raise ValueError(f"the model takes no {', '.join(unknown)}")
    network = task.build(task.input_shape, task.n_classes, **architecture)
    return plain(network).to(task.device)
