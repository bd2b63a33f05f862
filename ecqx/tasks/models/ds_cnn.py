"""DS-CNN: depthwise separable convolutions for keyword spotting [zhang2017hello].

The small one, as in MLPerf Tiny [banbury2021mlperf]: 64 channels, a convolution over 10 frames and
4 MFCCs with stride 2, four pairs of a depthwise 3x3 and a 1x1 convolution, mean, dense layer.
Convolutions have no bias, which the batch norm behind each would take away. The first is padded
alike on both sides (there: one more at the end where the sides differ); the maps have the same
sizes.
"""

from __future__ import annotations

from torch import nn

from ecqx.tasks.scaling import scaled

_CHANNELS = 64
_PAIRS = 4
_FIRST = (4, 10)  # MFCCs, frames


def build(input_shape: tuple[int, int, int], n_classes: int, width: float = 1.0) -> nn.Module:
    """Untrained network, ``width`` times as wide; logits of shape (n, n_classes).

    The height of an input is MFCCs, its width is frames.
    """
    (channels,) = scaled((_CHANNELS,), width)

    def normalised(convolution: nn.Conv2d) -> list[nn.Module]:
        return [convolution, nn.BatchNorm2d(channels), nn.ReLU()]

    padding = tuple(side // 2 for side in _FIRST)
    layers = normalised(
        nn.Conv2d(input_shape[0], channels, _FIRST, stride=2, padding=padding, bias=False)
    )
    layers.append(nn.Dropout(0.2))
    for _ in range(_PAIRS):
        layers += normalised(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        )
        layers += normalised(nn.Conv2d(channels, channels, 1, bias=False))
    return nn.Sequential(
        *layers,
        nn.Dropout(0.4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, n_classes),
    )
