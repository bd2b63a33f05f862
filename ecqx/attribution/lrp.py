"""Layer-wise relevance propagation (LRP) rules by layer, as zennit composites.

Sources: [bach2015lrp] (epsilon, alpha-beta), [montavon2019overview] (composites),
[lapuschkin2019unmasking] (flat). What is no such layer follows the rules of
:mod:`ecqx.attribution.operations` in both composites, which are those of ECQx: [becking2021ecqx],
section 4.2.
"""

from __future__ import annotations

import functools

import torch
from zennit.canonizers import MergeBatchNorm
from zennit.composites import SpecialFirstLayerMapComposite
from zennit.layer import Sum
from zennit.rules import Flat
from zennit.types import Activation, AvgPool, BatchNorm, ConvolutionStandard, Linear

from ecqx.attribution.dataflow import OperationsAsModules, dataflow
from ecqx.attribution.lrp_rules import AlphaBeta, Epsilon, Norm, Pass
from ecqx.attribution.operations import Mean

# The rule of convolutions; dense layers follow the epsilon rule, the first layer the flat rule.
COMPOSITES = {
    "epsilon_plus_flat": AlphaBeta(1.0, 0.0),
    "epsilon_alpha2_beta1_flat": AlphaBeta(2.0, 1.0),
}
BATCH_NORM = ("merge", "pass")

# Layers through which the gradient itself is the relevance: they move or select activations.
_ROUTING = (
    torch.nn.MaxPool1d,
    torch.nn.MaxPool2d,
    torch.nn.MaxPool3d,
    torch.nn.AdaptiveMaxPool1d,
    torch.nn.AdaptiveMaxPool2d,
    torch.nn.Flatten,
    torch.nn.Unflatten,
    torch.nn.ZeroPad2d,
    torch.nn.ZeroPad3d,
    torch.nn.Identity,
    torch.nn.Dropout,
    torch.nn.Dropout2d,
)
_SHOWN = 3  # names in a message
_WITH_RULE = (torch.nn.Linear, ConvolutionStandard, Activation, AvgPool, BatchNorm, Sum)


def check_rules(model: torch.nn.Module) -> None:
    """Raise unless each layer of the model, and all computed between layers, has an LRP rule.

    Raises
    ------
    ValueError : naming the layers without a rule and their types, or the operations; or the forward
        pass cannot be traced, see :func:`ecqx.attribution.dataflow.dataflow`.
    """
    flow = dataflow(model)
    modules = dict(model.named_modules())
    missing = [
        f"{name or 'the model'} ({type(modules[name]).__name__}){why}"
        for name in flow.layers
        if (why := _missing(modules[name])) is not None
    ]
    missing += flow.without_rule
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise ValueError(f"no LRP rule for: {', '.join(missing[:_SHOWN])}{more}")


def _missing(module: torch.nn.Module) -> str | None:
    """None if a layer has a rule; otherwise what is to be said of it, if anything."""
    if is_one_of(type(module), (Linear,)) and "weight" not in module._parameters:
        return ": its weight is no parameter"
    # zennit's Activation covers torch.nn.modules.activation, which also holds attention
    known = is_one_of(type(module), _WITH_RULE + _ROUTING)
    return None if known and not isinstance(module, torch.nn.MultiheadAttention) else ""


@functools.cache
def is_one_of(kind: type, types: tuple[type, ...]) -> bool:
    """``issubclass``, remembered: zennit's types look through lists of classes each time."""
    return issubclass(kind, types)


class MergeFollowingBatchNorm(MergeBatchNorm):
    """Folds a batch norm into the linear or convolutional layer whose output it takes.

    The norm then hands on what it gets: it is not run with parameters that do so.
    """

    def apply(self, root_module: torch.nn.Module) -> list[MergeBatchNorm]:
        instances = []
        for layer, norm in dataflow(root_module).normalised:
            instance = self.copy()
            instance.register((root_module.get_submodule(layer),), root_module.get_submodule(norm))
            instances.append(instance)
        return instances

    def register(self, linears: tuple[torch.nn.Module, ...], batch_norm: torch.nn.Module) -> None:
        super().register(linears, batch_norm)
        batch_norm.forward = _unchanged

    def remove(self) -> None:
        del self.batch_norm.forward
        super().remove()


def _unchanged(x: torch.Tensor) -> torch.Tensor:
    return x


def is_merged(module: torch.nn.Module) -> bool:
    """Whether it is a batch norm that is folded into another layer at the moment."""
    return vars(module).get("forward") is _unchanged


class _FirstThatRuns(SpecialFirstLayerMapComposite):
    """The special rules go to the linear or convolutional layer that runs first."""

    def register(self, module: torch.nn.Module) -> None:
        self._layers = weighted_layers(module)
        super().register(module)

    def mapping(self, ctx: dict, name: str, module: torch.nn.Module):
        if is_merged(module):
            return None
        rules = [*(self.first_map if name in self._layers[:1] else ()), *self.layer_map]
        return next((rule for kind, rule in rules if is_one_of(type(module), (kind,))), None)


def weighted_layers(model: torch.nn.Module) -> list[str]:
    """Names of the linear and convolutional layers, in the order in which they run."""
    # zennit's type Linear includes convolutions
    modules = dict(model.named_modules())
    return [n for n in dataflow(model).layers if is_one_of(type(modules.get(n)), (Linear,))]


def composite(name: str, *, batch_norm: str = "merge") -> SpecialFirstLayerMapComposite:
    """A zennit composite: which rule each layer of a network follows.

    Parameters
    ----------
    name : ``epsilon_plus_flat`` (epsilon for dense layers, z+ for convolutions, flat for the
        first layer) or ``epsilon_alpha2_beta1_flat`` (alpha = 2, beta = 1 for convolutions).
    batch_norm : ``merge`` folds batch normalisation into the preceding linear layer while the
        composite is in use, where it directly takes that layer's output; ``pass`` lets relevance
        through it unchanged.

    Raises
    ------
    ValueError : unknown name or treatment of batch normalisation.
    """
    if name not in COMPOSITES:
        raise ValueError(f"composite: {name!r} is unknown, expected one of {', '.join(COMPOSITES)}")
    if batch_norm not in BATCH_NORM:
        raise ValueError(
            f"batch_norm: {batch_norm!r} is unknown, expected one of {', '.join(BATCH_NORM)}"
        )
    merged = [MergeFollowingBatchNorm()] if batch_norm == "merge" else []
    layer_map = [
        (Activation, Pass()),
        (Sum, Norm()),
        (AvgPool, Norm()),
        (Mean, Norm()),
        (BatchNorm, Pass()),
        (ConvolutionStandard, COMPOSITES[name]),
        (torch.nn.Linear, Epsilon()),
    ]
    return _FirstThatRuns(
        layer_map, [(Linear, Flat())], canonizers=[*merged, OperationsAsModules()]
    )
