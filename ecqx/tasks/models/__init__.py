"""One architecture per file, known by its file name.

A file holds one function ``build(input_shape, n_classes) -> nn.Module`` that maps float32 inputs
of shape (n, *input_shape) to logits of shape (n, n_classes). What the relevance rules, the
canonizers and the bitstream rely on:

- Weights live in ``nn.Linear``, ``nn.Conv2d`` and ``nn.BatchNorm2d`` only. Every use of an
  activation or a pooling layer is a module of its own, so that a hook sees one tensor.
- A batch norm directly follows its convolution in the same ``nn.Sequential``.
- Residual branches meet in ``zennit.layer.Sum``.
- No in-place operations: they would overwrite activations that relevance still needs.
- The initialisation draws from torch's global generator only, which the caller seeds.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from ecqx.tasks import registry

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Names of all models, sorted; imports none of them."""
    return registry.module_names(_FOLDER)


def get(name: str) -> ModuleType:
    """The module of the model ``name``; ValueError listing the known names."""
    return registry.load_module(__name__, _FOLDER, name)
