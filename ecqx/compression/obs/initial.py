"""Training that starts from the codes of optimal brain quantization instead of the nearest ones.

Weights go no further than into the cells of their codes: on the levels themselves they would be
half a step away from any other, which a short training does not cover.
"""

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
_REACH = 0.49  # of a step, from a level to where its cell is left alone


def start_from(
    initial: str,
    model: torch.nn.Module,
    grids: Mapping[str, Grid],
    task: Task,
    rng: torch.Generator,
) -> None:
    """Move the weights that training starts from to where other codes are nearest.

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
            grid, code = grids[name], codes[name]
            low, high = ((code + side * _REACH) * grid.step for side in (-1, 1))
            low[code == grid.low], high[code == grid.high] = -torch.inf, torch.inf
            weight.copy_(torch.minimum(torch.maximum(weight, low), high))
