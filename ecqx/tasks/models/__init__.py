"""One architecture per file, known by its file name.

A file holds one function ``build(input_shape, n_classes) -> nn.Module`` that maps float32 inputs
of shape (n, *input_shape) to logits of shape (n, n_classes). What the relevance rules, the
canonizers and the bitstream rely on:

- Weights live in ``nn.Linear``, ``nn.Conv2d`` and ``nn.BatchNorm2d`` only. Every use of an
  activation or a pooling layer is a module of its own, so that a hook sees one tensor.
- A batch norm takes the output of its convolution directly.
- What ``forward`` itself does with activations is to move or select them. Residual branches meet
  in ``zennit.layer.Sum``; means are ``nn.AdaptiveAvgPool2d``. In networks of users' own it may do
  more, see :mod:`ecqx.attribution.rewriting`: sums, products, attention and the like.
- ``forward`` does the same whatever the values and the shape of its input: it is traced.
- No in-place operations: they would overwrite activations that relevance still needs.
- The initialisation draws from torch's global generator only, which the caller seeds.

A network that can be built narrower takes a third argument, ``width: float = 1.0``, by which the
numbers of its channels and units are multiplied, see :func:`ecqx.tasks.scaling.scaled`. Its layers
keep their names.

A network whose training starts from weights learnt elsewhere has two functions more:

``pretrained(model, root) -> str``
    Puts them into a new network and says which, for the record. ``root`` is the folder of what is
    read from disk. Only full-precision training calls it.
``missing(root)``
    One line that says which file to put where, or None if nothing is missing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecqx.tasks.registry import Registry

if TYPE_CHECKING:
    from torch import nn

_REGISTRY = Registry(__name__, Path(__file__).parent)


def names() -> list[str]:
    """Names of all models that are files, sorted; imports none of them."""
    return _REGISTRY.names()


def get(name: str) -> Any:
    """The module of the model ``name``, or what was registered under it.

    Raises
    ------
    ValueError : there is none; the known names are listed.
    """
    return _REGISTRY.get(name)


def network(
    name: str, input_shape: tuple[int, ...], n_classes: int, **architecture: Any
) -> nn.Module:
    """An untrained network of a model as all but its training take it.

    ``architecture`` is what its ``build`` takes beside, such as ``width``.

    In evaluation mode, with plain weights, see :mod:`ecqx.tasks.plain`; so is what is stored of a
    trained one.
    """
    from ecqx.tasks.plain import plain  # torch is not needed to list the names

    return plain(get(name).build(input_shape, n_classes, **architecture))


def register(name: str, entry: Any) -> None:
    """Add a model that has no file: an object with what the module would have.

    Raises
    ------
    ValueError : a file has this name.
    """
    _REGISTRY.register(name, entry)
