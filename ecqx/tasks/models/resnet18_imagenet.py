"""ResNet18 (:mod:`ecqx.tasks.models.resnet18`) whose training starts from ImageNet.

The weights are torchvision's, read from disk; the last layer is new.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ecqx.tasks.models.resnet18 import build
from ecqx.tasks.weights import Weights

__all__ = ["build", "missing", "pretrained"]

# torchvision's modules have the same names, without the sequences around them
WEIGHTS = Weights(
    url="https://download.pytorch.org/models/resnet18-f37072fd.pth",
    head="fc",
    published_name=lambda name: name.replace("stem.", "").replace("branch.", ""),
)


def missing(root: Path | None) -> str | None:
    """What to put where, in one line, if the weights are not on this machine."""
    return WEIGHTS.missing(root)


def pretrained(model: nn.Module, root: Path | None) -> str:
    """Give a new network the weights, see :meth:`ecqx.tasks.weights.Weights.load_into`."""
    return WEIGHTS.load_into(model, root)
