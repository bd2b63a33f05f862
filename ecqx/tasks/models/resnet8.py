"""ResNet8 for 32x32 images, as in MLPerf Tiny [banbury2021mlperf]; after [he2016resnet].

A stem and three blocks of 16, 32 and 64 channels. Shortcuts that change the shape are a 1x1
convolution with a bias and without batch norm. The other convolutions have no bias, which the batch
norm behind each would take away.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from zennit.layer import Sum

from ecqx.tasks.scaling import scaled

_STAGES = (16, 32, 64)


class Block(nn.Module):
    """ReLU(shortcut(x) + F(x)), F two 3x3 convolutions with batch norm."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, out_channels, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = (
            nn.Identity() if stride == 1 else nn.Conv2d(channels, out_channels, 1, stride=stride)
        )
        # a module of its own, so that relevance can be shared between the two branches
        self.sum = Sum(dim=1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.sum(torch.stack([self.shortcut(x), self.branch(x)], dim=1)))


def build(input_shape: tuple[int, int, int], n_classes: int, width: float = 1.0) -> nn.Module:
    """Untrained network, ``width`` times as wide; logits of shape (n, n_classes)."""
    stages = scaled(_STAGES, width)
    channels = stages[0]
    layers: list[nn.Module] = [
        nn.Conv2d(input_shape[0], channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    ]
    for number, out_channels in enumerate(stages):
        layers.append(Block(channels, out_channels, 2 if number else 1))
        channels = out_channels
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, n_classes)
    )
