"""ResNet20 for 32x32 images [he2016resnet, section 4.2], 0.27 M parameters.

Shortcuts carry no weights: where a block halves the resolution, they take every second pixel and
pad the new channels with zeros (option A).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from zennit.layer import Sum

from ecqx.tasks.scaling import scaled

_STAGES = (16, 32, 64)
_BLOCKS = 3


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
        # a pooling window of one pixel picks every second one; the padding's third pair of
        # numbers is for the channels
        added = out_channels - channels
        pad = (added // 2, added - added // 2)
        self.shortcut = (
            nn.Identity()
            if stride == 1
            else nn.Sequential(nn.MaxPool2d(1, stride=2), nn.ZeroPad3d((0, 0, 0, 0, *pad)))
        )
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
        for place in range(_BLOCKS):
            layers.append(Block(channels, out_channels, 2 if number and place == 0 else 1))
            channels = out_channels
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, n_classes)
    )
