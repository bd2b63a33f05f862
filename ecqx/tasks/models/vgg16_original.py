"""VGG16 for images of ImageNet's size [simonyan2015vgg, table 1, D].

138 M parameters with ImageNet's thousand classes, most of them in the first dense layer. No batch
norm; features are pooled to 7x7, which they are for inputs of 224x224. Initialised as torchvision
does. The one for 32x32 images is :mod:`ecqx.tasks.models.vgg16`.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from ecqx.tasks.scaling import scaled

_CHANNELS = (64, 128, 256, 512, 512)
_DEPTHS = (2, 2, 3, 3, 3)
_POOLED = 7
_HIDDEN = (4096, 4096)


def build(input_shape: tuple[int, int, int], n_classes: int, width: float = 1.0) -> nn.Module:
    """Untrained network, ``width`` times as wide; logits of shape (n, n_classes).

    Raises
    ------
    ValueError : height or width is below 32, of which five halvings leave nothing.
    """
    channels, height, breadth = input_shape
    smallest = 2 ** len(_CHANNELS)
    if min(height, breadth) < smallest:
        raise ValueError(f"inputs are {height}x{breadth}, expected at least {smallest}x{smallest}")
    features: list[nn.Module] = []
    for out_channels, depth in zip(scaled(_CHANNELS, width), _DEPTHS, strict=True):
        for _ in range(depth):
            features += [nn.Conv2d(channels, out_channels, 3, padding=1), nn.ReLU()]
            channels = out_channels
        features.append(nn.MaxPool2d(2))
    classifier: list[nn.Module] = []
    units = channels * _POOLED**2
    for hidden in scaled(_HIDDEN, width):
        classifier += [nn.Linear(units, hidden), nn.ReLU(), nn.Dropout(0.5)]
        units = hidden
    model = nn.Sequential(
        OrderedDict(
            features=nn.Sequential(*features),
            avgpool=nn.AdaptiveAvgPool2d(_POOLED),
            flatten=nn.Flatten(),
            classifier=nn.Sequential(*classifier, nn.Linear(units, n_classes)),
        )
    )
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.zeros_(module.bias)
    return model
