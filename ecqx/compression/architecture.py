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
    if (lacking := lacks(task, architecture)) is not None:
        raise ValueError(lacking)
    network = task.build(task.input_shape, task.n_classes, **architecture)
    return plain(network).to(task.device)


def lacks(task: Task, arguments: Mapping[str, Any]) -> str | None:
    """Why a task builds no network with such arguments; None if it does."""
    if task.build is None:
        return f"{task.name}: there is no function that builds the model in another architecture"
    known = inspect.signature(task.build).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return None
    unknown = [name for name in arguments if name not in known]
    return f"the model takes no {', '.join(unknown)}" if unknown else None
