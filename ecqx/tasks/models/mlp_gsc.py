"""Multilayer perceptron for keyword spotting: hidden layers 512-512-256-256-128-128.

With 15 MFCCs x 49 frames and twelve classes it is MLP_GSC, 735-512-512-256-256-128-128-12, of
[becking2021ecqx], section 5.1.
"""

from __future__ import annotations

import math

from torch import nn

from ecqx.tasks.scaling import scaled

_HIDDEN = (512, 512, 256, 256, 128, 128)


def build(input_shape: tuple[int, int, int], n_classes: int, width: float = 1.0) -> nn.Module:
    """Untrained network, ``width`` times as wide; logits of shape (n, n_classes)."""
    layers: list[nn.Module] = [nn.Flatten()]
    units = math.prod(input_shape)
    for hidden in scaled(_HIDDEN, width):
        layers += [nn.Linear(units, hidden), nn.ReLU()]
        units = hidden
    layers.append(nn.Linear(units, n_classes))
    return nn.Sequential(*layers)
