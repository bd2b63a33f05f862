"""ResNet20 for 32x32 images [he2016resnet, section 4.2], 0.27 M parameters.

Shortcuts carry no weights: where a block halves the resolution, they take every second pixel and
pad the new channels with zeros (option A).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from zennit.layer import Sum

_STAGES = (16, 32, 64)
_BLOCKS = 3


class Block(nn.Module):
    """ReLU(shortcut(x) + F(x)), F two 3x3 convolutions with batch norm."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        stride = 1 if channels == out_channels else 2
        self.branch = nn.Sequential(
            nn.Conv2d(channels, out_channels, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        # a pooling window of one pixel picks every second one; the padding's third pair of
        # numbers is for the channels
        pad = (out_channels - channels) // 2
        self.shortcut = (
            nn.Identity()
            if stride == 1
            else nn.Sequential(nn.MaxPool2d(1, stride=2), nn.ZeroPad3d((0, 0, 0, 0, pad, pad)))
        )
        self.sum = Sum(dim=-1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.sum(torch.stack([self.shortcut(x), self.branch(x)], dim=-1)))


def build(input_shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    """Untrained network; logits of shape (n, n_classes)."""
    channels = _STAGES[0]
    layers: list[nn.Module] = [
        nn.Conv2d(input_shape[0], channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    ]
    for out_channels in _STAGES:
        for _ in range(_BLOCKS):
            layers.append(Block(channels, out_channels))
            channels = out_channels
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, n_classes)
    )
