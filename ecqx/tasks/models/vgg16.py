"""VGG16 with batch norm for 32x32 images [simonyan2015vgg].

The thirteen convolutions of configuration D; what five halvings leave is one pixel, so that one
dense layer takes the place of three. 14.7 M parameters.
"""

from __future__ import annotations

from torch import nn

from ecqx.tasks.scaling import scaled

_CHANNELS = (64, 128, 256, 512, 512)
_DEPTHS = (2, 2, 3, 3, 3)


def build(input_shape: tuple[int, int, int], n_classes: int, width: float = 1.0) -> nn.Module:
    """Untrained network, ``width`` times as wide; logits of shape (n, n_classes).

    Raises
    ------
    ValueError : height or width is not a multiple of 32.
    """
    channels, height, breadth = input_shape
    shrink = 2 ** len(_CHANNELS)
    if height % shrink or breadth % shrink:
        raise ValueError(f"inputs are {height}x{breadth}, expected multiples of {shrink}")
    layers: list[nn.Module] = []
    for out_channels, depth in zip(scaled(_CHANNELS, width), _DEPTHS, strict=True):
        for _ in range(depth):
            layers += [
                nn.Conv2d(channels, out_channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(),
            ]
            channels = out_channels
        layers.append(nn.MaxPool2d(2))
    features = channels * (height // shrink) * (breadth // shrink)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, n_classes))
