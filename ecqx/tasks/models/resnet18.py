"""ResNet18 for images of ImageNet's size [he2016resnet, table 1].

11.7 M parameters with ImageNet's thousand classes. Shortcuts that change the shape are a 1x1
convolution with batch norm (option B). Initialised as torchvision does.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from zennit.layer import Sum

from ecqx.tasks.scaling import scaled

_STAGES = (64, 128, 256, 512)
_BLOCKS = 2


class Block(nn.Module):
    """ReLU(shortcut(x) + F(x)), F two 3x3 convolutions with batch norm."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, out_channels, 3, stride=stride, padding=1, bias=False),
                bn1=nn.BatchNorm2d(out_channels),
                relu=nn.ReLU(),
                conv2=nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
                bn2=nn.BatchNorm2d(out_channels),
            )
        )
        self.downsample = (
            nn.Identity()
            if stride == 1 and channels == out_channels
            else nn.Sequential(
                nn.Conv2d(channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        )
        # a module of its own, so that relevance can be shared between the two branches
        self.sum = Sum(dim=1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.sum(torch.stack([self.downsample(x), self.branch(x)], dim=1)))


def build(input_shape: tuple[int, int, int], n_classes: int, width: float = 1.0) -> nn.Module:
    """Untrained network, ``width`` times as wide; logits of shape (n, n_classes)."""
    stages = scaled(_STAGES, width)
    channels = stages[0]
    parts = OrderedDict(
        stem=nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(input_shape[0], channels, 7, stride=2, padding=3, bias=False),
                bn1=nn.BatchNorm2d(channels),
                relu=nn.ReLU(),
                maxpool=nn.MaxPool2d(3, stride=2, padding=1),
            )
        )
    )
    for number, out_channels in enumerate(stages, start=1):
        blocks = []
        for place in range(_BLOCKS):
            blocks.append(Block(channels, out_channels, 2 if number > 1 and place == 0 else 1))
            channels = out_channels
        parts[f"layer{number}"] = nn.Sequential(*blocks)
    model = nn.Sequential(
        OrderedDict(
            **parts,
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            fc=nn.Linear(channels, n_classes),
        )
    )
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model
