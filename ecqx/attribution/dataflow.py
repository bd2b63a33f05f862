"""What a network computes between its layers, read off its forward pass by tracing.

The order in which modules were registered says neither which of them runs first nor whose output a
batch norm takes, and sums or products written into ``forward`` are no modules at all. Relevance
rules need all of it.
"""

from __future__ import annotations

import operator
import sys
from collections import Counter
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import fx, nn
from zennit.canonizers import Canonizer
from zennit.layer import Sum
from zennit.types import BatchNorm, Linear

# Operations on tensors through which the gradient itself is the relevance: they move or select
# activations.
_ROUTING = {
    torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze, torch.permute, torch.transpose,
    torch.stack, torch.cat, torch.chunk, torch.split, torch.relu, torch.dropout,
    nn.functional.relu, nn.functional.dropout, nn.functional.max_pool1d, nn.functional.max_pool2d,
    nn.functional.max_pool3d, nn.functional.pad, operator.getitem,
}  # fmt: skip
_ROUTING_METHODS = {
    "flatten", "reshape", "view", "squeeze", "unsqueeze", "permute", "transpose", "contiguous",
    "chunk", "split", "relu", "clone",
}  # fmt: skip
# Methods and attributes of a tensor whose values are not tensors.
_SIZES = {"size", "dim", "numel", "shape", "ndim", "device", "dtype"}


@dataclass(frozen=True)
class Dataflow:
    """The forward pass of a network. Modules are named as in ``named_modules``.

    Attributes
    ----------
    layers : tuple of str, layers in the order in which they run, with the sums that `residual_sums`
        adds.
    normalised : tuple of (str, str); linear or convolutional layers and the batch norms that take
        their output, where nothing else does and both run once.
    operations : tuple of str, operations outside of modules that compute with activations, rather
        than move or select them: additions, products, means, whatever works in place.
    """

    layers: tuple[str, ...]
    normalised: tuple[tuple[str, str], ...]
    operations: tuple[str, ...]


_known: WeakKeyDictionary[nn.Module, Dataflow] = WeakKeyDictionary()


def dataflow(model: nn.Module) -> Dataflow:
    """The forward pass of a network; traced once, then remembered as long as the network lives.

    Raises
    ------
    ValueError : it depends on the values or the shape of what it is given, and cannot be traced.
    """
    if model not in _known:
        _known[model] = _traced(model)
    return _known[model]


def residual_sums() -> list[Canonizer]:
    """Canonizers that turn the sums of torchvision's ResNets into modules for a composite."""
    # A model from torchvision has already imported it; other models are spared the time.
    if "torchvision.models.resnet" not in sys.modules:
        return []
    from zennit.torchvision import ResNetBasicBlockCanonizer, ResNetBottleneckCanonizer

    return [ResNetBasicBlockCanonizer(), ResNetBottleneckCanonizer()]


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, Sum) or super().is_leaf_module(module, name)


def _traced(model: nn.Module) -> Dataflow:
    if not any(True for _ in model.children()):
        # with a single layer there is nothing between layers
        return Dataflow(("",), (), ())
    canonizers = [instance for canonizer in residual_sums() for instance in canonizer.apply(model)]
    modules = dict(model.named_modules())
    try:
        nodes = list(_Tracer().trace(model).nodes)
    # tracing passes no tensor, so the user's code may raise anything; one line of it is enough
    except Exception as error:
        cause = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"the forward pass of {type(model).__name__} cannot be traced ({cause}); LRP "
            "traces it to find the order of layers"
        ) from error
    finally:
        for canonizer in canonizers:
            canonizer.remove()
    layers = [node.target for node in nodes if node.op == "call_module"]
    calls = Counter(layers)
    normalised = []
    for node in nodes:
        if node.op != "call_module" or not _merges(modules[node.target]) or not node.args:
            continue
        source = node.args[0]
        if (
            isinstance(source, fx.Node)
            and source.op == "call_module"
            and isinstance(modules[source.target], Linear)
            and len(source.users) == 1
            and calls[source.target] == calls[node.target] == 1
        ):
            normalised.append((source.target, node.target))
    return Dataflow(tuple(dict.fromkeys(layers)), tuple(normalised), tuple(_computing(nodes)))


def _merges(module: nn.Module) -> bool:
    """Whether it is a batch norm with everything that is folded into the layer before it."""
    return (
        isinstance(module, BatchNorm)
        and module.weight is not None
        and module.running_mean is not None
    )


def _computing(nodes: list[fx.Node]) -> list[str]:
    """Names of operations on tensors that are not mere routing, each once, in their order."""
    tensors: set[fx.Node] = set()
    found: dict[str, None] = {}
    for node in nodes:
        if node.op in ("placeholder", "call_module", "get_attr"):
            tensors.add(node)
        elif node.op in ("call_function", "call_method") and not tensors.isdisjoint(
            node.all_input_nodes
        ):
            name = node.target if isinstance(node.target, str) else node.target.__name__
            if name in _SIZES or (node.target is getattr and node.args[1] in _SIZES):
                continue
            tensors.add(node)
            known = _ROUTING if node.op == "call_function" else _ROUTING_METHODS
            if node.target not in known or node.kwargs.get("inplace"):
                found[name + (" in place" if node.kwargs.get("inplace") else "")] = None
    return list(found)
