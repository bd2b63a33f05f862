"""What each weight of a network may become: its codes on grids of several numbers of levels.

Each candidate has the bytes that the coder makes of it, and the error that it brings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ecqx.compression.artefact import bitstream
from ecqx.compression.assignment.grid import Grid, fit_grid
from ecqx.compression.contract import quantizable
from ecqx.compression.obs.network import round_network
from ecqx.compression.obs.rounding import damped
from ecqx.compression.training import snapshot

LEVELS = (3, 5, 7, 9, 11, 15, 31, 63)
STEP_RULE = "percentile"  # where rounding knows the rate, wide grids are better than close ones


@dataclass(frozen=True)
class Candidates:
    """The candidates of all weights of a network, each weight's in the order of :data:`LEVELS`.

    Attributes
    ----------
    codes : dict, name of a weight -> int8 Tensors of its shape
    grids : dict, name of a weight -> grids of these codes
    sizes : int64 array, shape (weights, candidates); bytes of the weight's unit in the bitstream of
        the network
    errors : float64 array, shape (weights, candidates); see :func:`relative_error`
    """

    codes: dict[str, list[Tensor]]
    grids: dict[str, list[Grid]]
    sizes: np.ndarray
    errors: np.ndarray


def make_candidates(
    model: torch.nn.Module, moments: Mapping[str, Tensor], lam: float
) -> Candidates:
    """The candidates of a network: optimal brain quantization at each number of levels.

    Parameters
    ----------
    model : full-precision network, not altered
    moments : of the inputs of each weight, see
        :func:`ecqx.compression.obs.network.calibration_moments`
    lam : weight of the rate, see :func:`ecqx.compression.obs.network.round_network`
    """
    weights = {name: weight.detach() for name, weight in quantizable(model).items()}
    made = Candidates(
        {name: [] for name in weights},
        {name: [] for name in weights},
        np.zeros((len(weights), len(LEVELS)), dtype=np.int64),
        np.zeros((len(weights), len(LEVELS))),
    )
    for column, levels in enumerate(LEVELS):
        grids = {
            name: fit_grid(weight, levels=levels, step_rule=STEP_RULE).coded()
            for name, weight in weights.items()
        }
        codes = round_network(model, grids, moments, lam)
        # a weight's unit is the same whatever the other weights are
        size = bitstream.weight_bytes(bitstream.encode(snapshot(model, codes, grids), model))
        for row, (name, weight) in enumerate(weights.items()):
            made.codes[name].append(codes[name].to(torch.int8))
            made.grids[name].append(grids[name])
            made.sizes[row, column] = size[name]
            quantized = codes[name] * grids[name].step
            made.errors[row, column] = relative_error(weight, quantized, moments.get(name))
    return made


def relative_error(weight: Tensor, quantized: Tensor, moments: Tensor | None) -> float:
    """Mean squared error of a layer's outputs, as a share of the mean square of the outputs.

    Unchanged when a weight and what normalises behind it are scaled, so that it compares layers.

    Parameters
    ----------
    weight, quantized : Tensor, shape (rows, ...)
    moments : Tensor, shape (groups, k, k), of the layer's inputs, see
        :func:`ecqx.compression.obs.hessians.input_moments`; taken with the damping that rounding
        has. None where they were not measured: all inputs alike.

    Returns
    -------
    float >= 0; 0 for a weight of zeros
    """
    both = [tensor.detach().cpu().double().flatten(1).numpy() for tensor in (weight, quantized)]
    whole, error = both[0], both[1] - both[0]
    if moments is None:
        squares = [float(np.square(rows).sum()) for rows in (error, whole)]
    else:
        metrics = [damped(each) for each in moments.numpy()]
        squares = [
            sum(
                float(((part @ metric) * part).sum())
                for part, metric in zip(np.split(rows, len(metrics)), metrics, strict=True)
            )
            for rows in (error, whole)
        ]
    return squares[0] / squares[1] if squares[1] > 0 else 0.0
