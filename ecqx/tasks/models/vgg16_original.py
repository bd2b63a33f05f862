"""VGG16 for images of ImageNet's size [simonyan2015vgg, table 1, D].

138 M parameters with ImageNet's thousand classes, most of them in the first dense layer. No batch
norm; features are pooled to 7x7, which they are for inputs of 224x224. Initialised as torchvision
does. The one for 32x32 images is :mod:`ecqx.tasks.models.vgg16`.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
_POOLED = 7
_HIDDEN = 4096


def build(input_shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    """Untrained network; logits of shape (n, n_classes).

    Raises
    ------
    ValueError : height or width is below 32, of which five halvings leave nothing.
    """
    channels, height, width = input_shape
    smallest = 2 ** len(_STAGES)
    if min(height, width) < smallest:
        raise ValueError(f"inputs are {height}x{width}, expected at least {smallest}x{smallest}")
    features: list[nn.Module] = []
    for out_channels, depth in _STAGES:
        for _ in range(depth):
            features += [nn.Conv2d(channels, out_channels, 3, padding=1), nn.ReLU()]
            channels = out_channels
        features.append(nn.MaxPool2d(2))
    classifier: list[nn.Module] = []
    width = channels * _POOLED**2
    for _ in range(2):
        classifier += [nn.Linear(width, _HIDDEN), nn.ReLU(), nn.Dropout(0.5)]
        width = _HIDDEN
    model = nn.Sequential(
        OrderedDict(
            features=nn.Sequential(*features),
            avgpool=nn.AdaptiveAvgPool2d(_POOLED),
            flatten=nn.Flatten(),
            classifier=nn.Sequential(*classifier, nn.Linear(width, n_classes)),
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
