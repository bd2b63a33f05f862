"""Optimal brain quantization of all weights of a network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ecqx.compression.assignment.grid import Grid
from ecqx.compression.contract import quantizable
from ecqx.compression.obs.hessians import input_moments
from ecqx.compression.obs.importance import importance
from ecqx.compression.obs.rounding import damped, round_weight
from ecqx.tasks.task import Task

# The last moments that were measured: points of one network and seed share them.
_known: dict[str, dict[str, Tensor]] = {}


def calibration_moments(
    model: torch.nn.Module,
    task: Task,
    samples: int,
    rng: torch.Generator,
    source: str = "constant",
) -> dict[str, Tensor]:
    """Second moments of the inputs of each weight, over training inputs that are drawn.

    Parameters
    ----------
    samples : how many training inputs; all if there are fewer
    rng : which of them, and what a shuffled importance draws
    source : how much each output's errors count, see :mod:`ecqx.compression.obs.importance`

    Returns
    -------
    dict : see :func:`ecqx.compression.obs.hessians.input_moments`
    """
    chosen = torch.randperm(len(task.train), generator=rng)[:samples]
    digest = hashlib.sha256(chosen.numpy().tobytes() + source.encode())
    place = chosen.to(task.train.x.device)
    x, y = task.train.x[place], task.train.y[place]
    for tensor in [*model.state_dict().values(), x, y]:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    key = digest.hexdigest()
    if key not in _known:
        moments = input_moments(model, x, y, importance(source, task, rng))
        _known.clear()
        _known[key] = moments
    return _known[key]


def round_network(
    model: torch.nn.Module,
    grids: Mapping[str, Grid],
    moments: Mapping[str, Tensor],
    lam: float,
    zeros_stay: bool = False,
) -> dict[str, Tensor]:
    """Codes of all weights on their grids.

    Weights whose inputs were not measured go to their nearest level.

    Parameters
    ----------
    moments : of the inputs of each weight, see :func:`calibration_moments`
    lam : bits weigh this times the mean diagonal of a layer's metric: the same squared error in
        units of the step, at an input of mean size, is worth the same number of bits in all layers
    zeros_stay : whether weights that are zero keep the code zero, as pruned ones should

    Returns
    -------
    dict : name of the weight -> int32 Tensor of its shape
    """
    codes = {}
    for name, weight in quantizable(model).items():
        grid = grids[name]
        if name not in moments:
            codes[name] = grid.nearest(weight.detach())
            continue
        rows = weight.detach().cpu().double().flatten(1).numpy() / grid.step
        metrics = [damped(each) for each in moments[name].numpy()]
        rounded = [
            round_weight(
                own,
                metric,
                grid.low,
                grid.high,
                lam * float(np.diag(metric).mean()),
                kept=own != 0 if zeros_stay else None,
            )
            for own, metric in zip(np.split(rows, len(metrics)), metrics, strict=True)
        ]
        codes[name] = torch.from_numpy(np.concatenate(rounded)).reshape(weight.shape)
        codes[name] = codes[name].to(weight.device)
    return codes
