"""Small residual network with batch norm, for inputs of a few pixels a side.

A stem, a residual block [he2016resnet] at full resolution and one at half.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from zennit.layer import Sum

from ecqx.tasks.scaling import scaled

_CHANNELS = (12, 24)


class ResidualBlock(nn.Module):
    """ReLU(x + F(x)), F two 3x3 convolutions with batch norm; keeps the shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        # a module of its own, so that relevance can be shared between the two branches
        self.sum = Sum(dim=1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.sum(torch.stack([x, self.branch(x)], dim=1)))


def build(input_shape: tuple[int, int, int], n_classes: int, width: float = 1.0) -> nn.Module:
    """Untrained network, ``width`` times as wide; logits of shape (n, n_classes)."""
    channels = input_shape[0]
    layers: list[nn.Module] = []
    for stride, out_channels in enumerate(scaled(_CHANNELS, width), start=1):
        layers += [
            nn.Conv2d(channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            ResidualBlock(out_channels),
        ]
        channels = out_channels
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, n_classes)
    )
