"""Excitation backprop and relative attributing propagation, as zennit composites.

Both send relevance down layer by layer and differ from LRP in the rule of a layer alone. The rules
stand on the same hooks as the LRP rules of :mod:`ecqx.attribution.lrp_rules`. In what follows a_i
is a layer's input, w_ij a weight, z_ij = a_i w_ij the contribution of input i to output j, and R_j
the relevance that arrives at the output. A residual sum and an average pooling are layers whose
weights are positive constants.

Batch normalisation is merged into the layer before it. Biases take part in no rule here: what an
output receives, its inputs share.

Sources: [zhang2018excitation]; [nam2020rap]; [montavon2017taylor] (z^B rule).
"""

from __future__ import annotations

import torch
from torch import Tensor
from zennit.composites import LayerMapComposite
from zennit.core import Composite
from zennit.layer import Sum
from zennit.types import Activation, AvgPool, BatchNorm, Linear

from ecqx.attribution.dataflow import OperationsAsModules
from ecqx.attribution.lrp import MergeFollowingBatchNorm, weighted_layers
from ecqx.attribution.lrp_rules import Pass, Rule, apply_layer, input_gradient
from ecqx.attribution.operations import Mean

# zennit's type Linear includes convolutions.
_MIXING = (Linear, Sum, AvgPool, Mean)
_UNCHANGED = (Activation, BatchNorm)


class Excitation(Rule):
    """R_i = sum_j (a_i)+ (w_ij)+ R_j / sum_i (a_i)+ (w_ij)+.

    The winning probabilities of a unit's inputs, 0 for those that inhibit it. A negative input
    breaks the method's first assumption and wins nothing. The sum of relevances is kept, but for
    units that no input excites: their relevance ends there.
    """

    def propagate(self, module, activation, output, relevance):
        weight = _weight(module)
        excitatory = None if weight is None else weight.clamp(min=0)
        active = activation.clamp(min=0)
        share = _divided(relevance, _applied(module, active, excitatory))
        return active * _transposed(module, active, share, excitatory)


class AbsoluteInfluence(Rule):
    """R_i = sum_j |z_ij| R_j / sum_i |z_ij|: RAP's first step, from the output to its inputs.

    Whether a unit raises or lowers the output, how much it does is its influence. For the one
    target of a dense layer this equals the two steps of the authors' code: contributions to the
    output, with a bias spread over them in proportion, then their magnitudes scaled to the same
    sum.
    """

    def propagate(self, module, activation, output, relevance):
        weight = _weight(module)
        magnitude = None if weight is None else weight.abs()
        active = activation.abs()
        share = _divided(relevance, _applied(module, active, magnitude))
        return active * _transposed(module, active, share, magnitude)


class RelativeAttribution(Rule):
    """RAP's rule of hidden layers: influence by contributions of either sign, then one shift.

    With P_j and N_j the sums over i of z_ij's positive parts and of its negative parts' magnitudes,

        R'_i = sum_j ((z_ij)+ / P_j + |(z_ij)-| / N_j * N_j / (P_j + N_j)) R_j
        R_i  = R'_i - (sum_i R'_i - sum_j R_j) / n

    for the n inputs that take part: not zero, and tied by a weight that is not zero to an output
    with relevance. The shift is the same for all of them, gives back what inhibitory contributions
    received in addition, and so makes inputs of little influence negative. Every sample's sum of
    relevances is kept exactly.

    The rule is the same for outputs of positive and of negative relevance, as in the dense layers
    of the authors' code (whose convolutions send negative relevance through inhibitory
    contributions alone). Inputs of either sign are normalised together (there: apart, which keeps
    no sum where both occur).
    """

    def propagate(self, module, activation, output, relevance):
        weight = _weight(module)
        # Pairs of inputs and weights, all without negative values, whose products raise or lower
        # the output.
        up = None if weight is None else weight.clamp(min=0)
        down = None if weight is None else weight.clamp(max=0).neg()
        positive = activation.clamp(min=0)
        negative = None if bool((activation >= 0).all()) else activation.clamp(max=0).neg()
        raising, lowering = [(positive, up)], []
        if weight is not None:
            lowering.append((positive, down))
            if negative is not None:
                raising.append((negative, down))
        if negative is not None:
            lowering.append((negative, up))

        excitation = sum(_applied(module, part, own) for part, own in raising)
        inhibition = sum(_applied(module, part, own) for part, own in lowering)
        influence = _shared(module, raising, _divided(relevance, excitation))
        if lowering:
            share = _divided(relevance, excitation + inhibition)
            influence = influence + _shared(module, lowering, share)

        ties = None if weight is None else (weight != 0).to(weight)
        reached = _transposed(module, activation, (relevance != 0).to(relevance), ties)
        # Convolutions count, up to the rounding of fast algorithms; a pooling layer's weights are
        # fractions.
        reached = reached > (0.0 if weight is None else 0.5)
        part = (reached & (activation != 0)).to(influence)
        excess = influence.flatten(1).sum(dim=1) - relevance.flatten(1).sum(dim=1)
        shift = excess / part.flatten(1).sum(dim=1).clamp(min=1)
        return part * (influence - shift.reshape(-1, *[1] * (influence.ndim - 1)))


class Box(Rule):
    """The z^B rule, bounded by the smallest and the largest value of each sample.

    R_i = sum_j z_ij R_j / sum_i z_ij with z_ij = x_i w_ij - l (w_ij)+ - h (w_ij)-, none of which is
    negative. Keeps the sum, but for outputs whose inputs are all alike or whose weights all zero.
    """

    def propagate(self, module, activation, output, relevance):
        weight = _weight(module)
        up, down = weight.clamp(min=0), weight.clamp(max=0).neg()
        sides = tuple(range(1, activation.ndim))
        above = activation - activation.amin(dim=sides, keepdim=True)
        below = activation.amax(dim=sides, keepdim=True) - activation
        parts = [(above, up), (below, down)]
        total = sum(_applied(module, part, own) for part, own in parts)
        return _shared(module, parts, _divided(relevance, total))


def excitation_backprop() -> Composite:
    """The composite of excitation backprop; relevance is a probability and starts as 1."""
    return LayerMapComposite(
        [(_UNCHANGED, Pass()), (_MIXING, Excitation())],
        canonizers=[MergeFollowingBatchNorm(), OperationsAsModules()],
    )


def relative_attributing_propagation(model: torch.nn.Module) -> Composite:
    """The composite of RAP for one model.

    Absolute influence at the last layer with weights, the z^B rule at the first one (as the
    authors' code does for images), and the rule of hidden layers between them; first and last in
    the order in which they run.
    """
    weighted = weighted_layers(model)
    templates = {weighted[0]: Box()} | {weighted[-1]: AbsoluteInfluence()}

    def rule(context: dict, name: str, module: torch.nn.Module) -> Rule | None:
        if name in templates:
            return templates[name]
        if isinstance(module, _MIXING):
            return RelativeAttribution()
        return Pass() if isinstance(module, _UNCHANGED) else None

    return Composite(module_map=rule, canonizers=[MergeFollowingBatchNorm(), OperationsAsModules()])


def _weight(module: torch.nn.Module) -> Tensor | None:
    return module.weight.detach() if isinstance(module, Linear) else None


def _applied(module: torch.nn.Module, activation: Tensor, weight: Tensor | None) -> Tensor:
    """The layer's output with other inputs and weights and without a bias."""
    if weight is None:
        return module.forward(activation)
    return apply_layer(module, activation, weight, None)


def _transposed(
    module: torch.nn.Module, activation: Tensor, grad: Tensor, weight: Tensor | None
) -> Tensor:
    """What `_applied` is linear in, transposed: from outputs to inputs."""
    if weight is not None:
        return input_gradient(module, activation, grad, weight)
    with torch.enable_grad():
        free = activation.detach().requires_grad_()
        return torch.autograd.grad(module.forward(free), free, grad)[0]


def _shared(module: torch.nn.Module, parts: list[tuple], share: Tensor) -> Tensor:
    """Sum over (inputs, weights) of the inputs' contributions, each output's times its share."""
    return sum(part * _transposed(module, part, share, own) for part, own in parts)


def _divided(relevance: Tensor, total: Tensor) -> Tensor:
    """Relevance per unit of contribution; 0 where there is no contribution to share it by."""
    return torch.where(total > 0, relevance / total, 0.0)
