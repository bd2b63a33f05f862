"""Small VGG: 3x3 convolutions with batch norm and max-pooling, then two dense layers.

After [simonyan2015vgg], cut down to about 31,000 parameters for one channel of 32x32 pixels. The
first convolution has stride 2 in place of a pooling layer: at full resolution it would take half of
the time. The last convolutional feature map is 8x8.
"""

from __future__ import annotations

from torch import nn

from ecqx.tasks.scaling import scaled

_CHANNELS = (8, 16, 32)
_HIDDEN = 48


def build(input_shape: tuple[int, int, int], n_classes: int, width: float = 1.0) -> nn.Module:
    """Untrained network, ``width`` times as wide; logits of shape (n, n_classes).

    Raises
    ------
    ValueError : height or width is not a multiple of 8.
    """
    channels, height, breadth = input_shape
    shrink = 2 ** len(_CHANNELS)
    if height % shrink or breadth % shrink:
        raise ValueError(f"inputs are {height}x{breadth}, expected multiples of {shrink}")
    features: list[nn.Module] = []
    for number, out_channels in enumerate(scaled(_CHANNELS, width)):
        stride = 2 if number == 0 else 1
        features += [
            nn.Conv2d(channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        ]
        if stride == 1:
            features.append(nn.MaxPool2d(2))
        channels = out_channels
    (hidden,) = scaled((_HIDDEN,), width)
    return nn.Sequential(
        *features,
        nn.Flatten(),
        nn.Linear(channels * (height // shrink) * (breadth // shrink), hidden),
        nn.ReLU(),
        nn.Linear(hidden, n_classes),
    )
