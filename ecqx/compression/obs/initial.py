"""Training that starts from the codes of optimal brain quantization instead of the nearest ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ecqx.compression.assignment.grid import Grid
from ecqx.compression.contract import quantizable
from ecqx.compression.obs.network import calibration_moments, round_network
from ecqx.tasks.task import Task

INITIAL = ("nearest", "optq", "cerwu")
_SAMPLES = 512
_LAM = 0.1  # weight of the rate, as CERWU has it by default


def start_from(
    initial: str,
    model: torch.nn.Module,
    grids: Mapping[str, Grid],
    task: Task,
    rng: torch.Generator,
) -> None:
    """Put the weights that training starts from onto the levels of a method's grids.

    Parameters
    ----------
    initial : ``nearest``, which leaves the weights as they are; ``optq`` or ``cerwu``, the codes of
        :mod:`ecqx.compression.obs.rounding` without and with the rate
    model : altered, but for ``nearest``
    grids : of its weights, by name, fitted to them as they were
    rng : which training inputs the metrics are of
    """
    if initial == "nearest":
        return
    moments = calibration_moments(model, task, _SAMPLES, rng)
    codes = round_network(model, grids, moments, _LAM if initial == "cerwu" else 0.0)
    with torch.no_grad():
        for name, weight in quantizable(model).items():
            weight.copy_(codes[name] * grids[name].step)
