"""What becomes of relevance on its way from the logit to the map, for every model.

LRP loses to biases what they contribute; the alpha-beta rule gains where nothing lowers a unit, and
the z-plus rule loses where nothing raises one, which has relevance only in a branch of a residual
sum. That is all. Excitation backprop and RAP lose nothing to biases.
"""

import functools

import pytest
import torch
from torch import nn
from zennit.layer import Sum

from ecqx.evaluation import explainers
from ecqx.evaluation.explainers import EXPLAINERS, excitation_backprop, rap
from ecqx.tasks import models

SHAPES = {
    "ds_cnn": (1, 15, 49),
    "mlp_gsc": (1, 15, 49),
    "residual_cnn": (1, 8, 8),
    "resnet20": (3, 8, 8),
    "resnet8": (3, 8, 8),
    "small_vgg": (1, 16, 16),
}
LARGE = 2_000_000  # parameters
LRP = {
    "lrp_epsilon_plus_flat": (1, 0),
    "lrp_epsilon_alpha2_beta1_flat": (2, 1),
}
EPSILON = 1e-6


def skeleton(name):
    """The model without memory for its weights."""
    with torch.device("meta"):
        return models.get(name).build(SHAPES.get(name, (3, 32, 32)), 4)


SEQUENTIAL = [
    name
    for name in models.names()
    if not any(isinstance(module, Sum) for module in skeleton(name).modules())
]
CONVOLUTIONAL = [
    name
    for name in models.names()
    if any(isinstance(module, nn.Conv2d) for module in skeleton(name).modules())
]


def narrower(model):
    """An eighth of the channels and hidden units: it is the depth that losses add up over."""
    layers = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d))
    ]
    first, last = layers[0][1], layers[-1][1]
    for name, layer in layers:
        is_dense = isinstance(layer, nn.Linear)
        inputs = layer.in_features if is_dense else layer.in_channels
        outputs = layer.out_features if is_dense else layer.out_channels
        sizes = (
            inputs if layer is first else inputs // 8,
            outputs if layer is last else outputs // 8,
        )
        bias = layer.bias is not None
        if is_dense:
            new = nn.Linear(*sizes, bias=bias)
        else:
            new = nn.Conv2d(*sizes, layer.kernel_size, layer.stride, layer.padding, bias=bias)
        model.set_submodule(name, new)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            model.set_submodule(name, nn.BatchNorm2d(module.num_features // 8))
    return model


@functools.cache
def network(name, biases):
    """Model in double precision with statistics and biases as after training, inputs, targets."""
    torch.manual_seed(0)
    shape = SHAPES.get(name, (3, 32, 32))
    model = skeleton(name)
    size = sum(parameter.numel() for parameter in model.parameters())
    model = (narrower(model) if size > LARGE else models.get(name).build(shape, 4)).double()
    x, target = torch.randn(4, *shape).double(), torch.arange(4)
    for name, module in list(model.named_modules()):
        if name.endswith("shortcut") and isinstance(module, nn.Conv2d):
            # a layer behind it, at whose input the ledger sees what arrives
            model.set_submodule(name, nn.Sequential(module, nn.Identity()))
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    layers = [module for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    with torch.no_grad():
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                layer.bias.normal_(0, 0.1 if biases else 0.0)
        for norm in norms:
            norm.eps = 1e-12  # zennit's merging divides by sqrt(1 + eps) once more
            norm.momentum = 1.0
        model(torch.randn(4, *shape).double())
        for norm in norms:
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0, 0.2 if biases else 0.0)
            norm.running_mean.mul_(1.0 if biases else 0.0)
    return model.eval(), x, target


def logits(model, x, target):
    with torch.no_grad():
        return model(x).gather(1, target[:, None]).squeeze(1)


class Ledger:
    """Input and relevance at the input of every layer that runs under an explainer."""

    def __init__(self, model):
        self.entries = []
        self.handles = [
            module.register_forward_pre_hook(self.enter)
            for module in model.modules()
            if not any(True for _ in module.children())
        ]

    def enter(self, module, inputs):
        entry = {"module": module, "input": inputs[0].detach()}
        inputs[0].register_hook(lambda relevance: entry.update(relevance=relevance))
        self.entries.append(entry)


def merged(layer, follower):
    """Weight and bias of a layer with the batch norm behind it, if there is one."""
    weight = layer.weight.detach()
    bias = torch.zeros(len(weight)).double() if layer.bias is None else layer.bias.detach()
    if isinstance(follower, nn.BatchNorm2d):
        scale = (follower.weight / (follower.running_var + follower.eps).sqrt()).detach()
        weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        bias = (bias - follower.running_mean) * scale + follower.bias.detach()
    return weight, bias


def contributions(layer, a, weight, positive):
    """Sums of the inputs' contributions of one sign to every output, without the bias."""
    own = weight.clamp(min=0) if positive else weight.clamp(max=0)
    other = weight.clamp(max=0) if positive else weight.clamp(min=0)
    return layer._conv_forward(a.clamp(min=0), own, None) + layer._conv_forward(
        a.clamp(max=0), other, None
    )


def handed_down(layer, a, weight, bias, alpha, beta):
    """Share of each output's relevance that the rule gives to inputs, by its definition."""
    if isinstance(layer, nn.Linear):
        z = a @ weight.T
        return z / (z + bias + EPSILON * torch.where(z + bias < 0, -1, 1))
    bias = bias[:, None, None]
    raising, lowering = (contributions(layer, a, weight, positive) for positive in (True, False))
    return alpha * raising / (raising + bias.clamp(min=0) + EPSILON) - beta * lowering / (
        lowering + bias.clamp(max=0) - EPSILON
    )


def lost_in_layers(ledger, target, logit, alpha, beta):
    """Relevance that layers do not hand down: per sample, over all but the first layer."""
    lost = torch.zeros_like(logit)
    entries = ledger.entries
    weighted = [
        k for k, entry in enumerate(entries) if isinstance(entry["module"], (nn.Linear, nn.Conv2d))
    ]
    for k in weighted[1:]:  # the first layer's rule hands down everything
        layer, a = entries[k]["module"], entries[k]["input"]
        if k + 1 < len(entries):
            arriving = entries[k + 1]["relevance"]
            weight, bias = merged(layer, entries[k + 1]["module"])
        else:
            weight, bias = merged(layer, None)
            arriving = torch.zeros(len(logit), len(weight)).double()
            arriving[torch.arange(len(logit)), target] = logit
        share = handed_down(layer, a, weight, bias, alpha, beta)
        lost += ((1 - share) * arriving).flatten(1).sum(dim=1)
    return lost


@pytest.mark.parametrize("biases", [True, False], ids=["biases", "no biases"])
@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("explainer", LRP)
def test_what_lrp_maps_lack_is_what_layers_keep(explainer, name, biases):
    model, x, target = network(name, biases)
    logit = logits(model, x, target)
    ledger = Ledger(model)
    try:
        maps = EXPLAINERS[explainer].fn(model, x, target)
        # merged again outside of the explainer: the layers have their own parameters back
        lost = lost_in_layers(ledger, target, logit, *LRP[explainer])
    finally:
        for handle in ledger.handles:
            handle.remove()
    # What remains are stabilisers of sums and averages, 1e-6 against activations.
    size = (logit.abs() + lost.abs()).max().item()
    torch.testing.assert_close(maps.sum(dim=(1, 2)), logit - lost, rtol=0, atol=1e-4 * size)
    if biases:
        assert (lost.abs() > 1e-2 * logit.abs()).any()


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_epsilon_plus_maps_without_biases_and_branches_sum_to_the_logit(name):
    model, x, target = network(name, biases=False)
    maps = EXPLAINERS["lrp_epsilon_plus_flat"].fn(model, x, target)
    logit = logits(model, x, target)
    atol = 1e-4 * logit.abs().max().item()
    torch.testing.assert_close(maps.sum(dim=(1, 2)), logit, rtol=0, atol=atol)


@pytest.mark.parametrize("biases", [True, False], ids=["biases", "no biases"])
@pytest.mark.parametrize("name", models.names())
def test_rap_maps_sum_to_the_logits_magnitude(name, biases):
    model, x, target = network(name, biases)
    maps = rap(model, x, target)
    torch.testing.assert_close(maps.sum(dim=(1, 2)), logits(model, x, target).abs())


@pytest.mark.parametrize("biases", [True, False], ids=["biases", "no biases"])
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_excitation_backprop_maps_are_probabilities(name, biases, monkeypatch):
    """Only a unit that its bias alone makes active has no input to hand its probability to."""

    def in_the_corner(maps, x):
        return nn.functional.pad(
            maps, (0, x.shape[3] - maps.shape[2], 0, x.shape[2] - maps.shape[1])
        )

    # as it is at the first rectifier: enlarging it keeps no sum unless sides are multiples
    monkeypatch.setattr(explainers, "_enlarged", in_the_corner)
    model, x, target = network(name, biases)
    maps = excitation_backprop(model, x, target)
    total = maps.sum(dim=(1, 2))
    assert maps.min() >= 0
    assert 0 < total.min() <= total.max() < 1 + 1e-9
    if not biases:
        torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-9)
