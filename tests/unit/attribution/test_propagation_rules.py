"""Excitation backprop and RAP against derivations in loops, zennit, and what they conserve."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.composites import ExcitationBackprop
from zennit.layer import Sum

from ecqx.attribution.propagation_rules import (
    AbsoluteInfluence,
    Box,
    Excitation,
    RelativeAttribution,
)
from ecqx.evaluation.explainers import excitation_backprop, rap
from ecqx.tasks.models import small_vgg

LAYERS = {
    "dense": (lambda: nn.Linear(7, 5), (7,)),
    "convolution": (lambda: nn.Conv2d(2, 3, 3, padding=1), (2, 4, 5)),
    "strided": (lambda: nn.Conv2d(2, 3, 3, stride=2, bias=False), (2, 6, 5)),
    "grouped": (lambda: nn.Conv2d(4, 4, (1, 2), groups=2), (4, 3, 3)),
    "circular": (lambda: nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), (1, 4, 4)),
    "average": (lambda: nn.AvgPool2d(2), (2, 4, 4)),
    "global average": (lambda: nn.AdaptiveAvgPool2d(1), (3, 2, 3)),
    "sum": (lambda: Sum(dim=-1), (3, 2, 2, 2)),
}
EPS = 1e-12  # zennit's merging of batch norm divides by sqrt(1 + eps) once more
WEIGHTED = ["dense", "convolution", "strided", "grouped", "circular"]


def layer_case(name, signs, seed=0):
    """A layer with some zero weights, inputs with some zeros, relevance with some zeros."""
    build, shape = LAYERS[name]
    torch.manual_seed(seed)
    module = build().double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter[torch.rand_like(parameter) < 0.2] = 0
    a = torch.randn(3, *shape).double()
    a = a.clamp(min=0) if signs == "rectified" else a * (torch.rand_like(a) < 0.8)
    output = module(a).detach()
    relevance = torch.randn_like(output) * (torch.rand_like(output) < 0.6)
    return module, a, relevance


def matrix(module, a):
    """Weights w[i][j] between single inputs and outputs, read off unit vectors."""
    basis = torch.eye(a[0].numel()).double().reshape(-1, *a.shape[1:])
    with torch.no_grad():
        rows = module(basis) - module(torch.zeros_like(basis))
    return rows.flatten(1).tolist()


def slowly(rule, module, a, relevance):
    weights = matrix(module, a)
    results = [
        rule(sample, weights, arriving)
        for sample, arriving in zip(
            a.flatten(1).tolist(), relevance.flatten(1).tolist(), strict=True
        )
    ]
    return torch.tensor(results, dtype=torch.float64).reshape(a.shape)


def slow_excitation(a, w, relevance):
    result = [0.0] * len(a)
    for j, arriving in enumerate(relevance):
        parts = [max(a[i], 0) * max(w[i][j], 0) for i in range(len(a))]
        if sum(parts) > 0:
            for i, part in enumerate(parts):
                result[i] += part / sum(parts) * arriving
    return result


def slow_absolute_influence(a, w, relevance):
    result = [0.0] * len(a)
    for j, arriving in enumerate(relevance):
        total = sum(abs(a[i] * w[i][j]) for i in range(len(a)))
        if total > 0:
            for i in range(len(a)):
                result[i] += abs(a[i] * w[i][j]) / total * arriving
    return result


def slow_relative_attribution(a, w, relevance):
    influence, reached = [0.0] * len(a), set()
    for j, arriving in enumerate(relevance):
        z = [a[i] * w[i][j] for i in range(len(a))]
        raising = sum(value for value in z if value > 0)
        lowering = -sum(value for value in z if value < 0)
        for i, value in enumerate(z):
            if value > 0:
                influence[i] += value / raising * arriving
            elif value < 0:
                share_of_inhibition = lowering / (raising + lowering)
                influence[i] += value / -lowering * share_of_inhibition * arriving
            if value != 0 and arriving != 0:
                reached.add(i)
    if not reached:
        return influence
    shift = (sum(influence) - sum(relevance)) / len(reached)
    return [value - shift if i in reached else value for i, value in enumerate(influence)]


def slow_box(x, w, relevance):
    low, high = min(x), max(x)
    result = [0.0] * len(x)
    for j, arriving in enumerate(relevance):
        z = [x[i] * w[i][j] - low * max(w[i][j], 0) - high * min(w[i][j], 0) for i in range(len(x))]
        if sum(z) > 0:
            for i in range(len(x)):
                result[i] += z[i] / sum(z) * arriving
    return result


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("signs", ["rectified", "mixed"])
@pytest.mark.parametrize(
    ("rule", "slow"),
    [
        (Excitation, slow_excitation),
        (AbsoluteInfluence, slow_absolute_influence),
        (RelativeAttribution, slow_relative_attribution),
    ],
    ids=["excitation", "absolute influence", "relative attribution"],
)
def test_rules_agree_with_loops_over_single_connections(rule, slow, name, signs):
    module, a, relevance = layer_case(name, signs)
    expected = slowly(slow, module, a, relevance)
    assert expected.abs().max() > 0
    torch.testing.assert_close(rule().propagate(module, a, None, relevance), expected)


@pytest.mark.parametrize("name", WEIGHTED)
def test_the_box_rule_agrees_with_loops_over_single_connections(name):
    module, a, relevance = layer_case(name, "mixed")
    expected = slowly(slow_box, module, a, relevance)
    torch.testing.assert_close(Box().propagate(module, a, None, relevance), expected)


def test_relative_attribution_by_hand():
    """z = (3, -2, 0, 3): 6 raise, 2 lower, and of 4 the shares are 2, 1, 0, 2: 1 too much."""
    module = nn.Linear(4, 1).double()
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[3.0, -1, 5, 1]]))
    a = torch.tensor([[1.0, 2, 0, 3]]).double()
    relevance = torch.tensor([[4.0]]).double()
    result = RelativeAttribution().propagate(module, a, None, relevance)
    torch.testing.assert_close(result, torch.tensor([[5.0, 2, 0, 5]]).double() / 3)


@given(
    name=st.sampled_from(list(LAYERS)),
    signs=st.sampled_from(["rectified", "mixed"]),
    seed=st.integers(0, 2**32),
)
def test_relative_attribution_keeps_every_samples_sum(name, signs, seed):
    """Of both signs together, whatever the biases; zero inputs and unreached ones get nothing."""
    module, a, relevance = layer_case(name, signs, seed)
    result = RelativeAttribution().propagate(module, a, None, relevance)
    reached = (slowly(slow_relative_attribution, module, a, relevance) != 0).flatten(1).any(dim=1)
    torch.testing.assert_close(
        result.flatten(1).sum(dim=1)[reached], relevance.flatten(1).sum(dim=1)[reached]
    )
    assert bool((result[a == 0] == 0).all())


@given(
    rule=st.sampled_from([Excitation, AbsoluteInfluence]),
    name=st.sampled_from(list(LAYERS)),
    seed=st.integers(0, 2**32),
)
def test_shares_of_a_probability_are_a_probability(rule, name, seed):
    module, a, relevance = layer_case(name, "rectified", seed)
    relevance = relevance.abs()
    result = rule().propagate(module, a, None, relevance)
    assert result.min() >= 0
    total, arriving = (part.flatten(1).sum(dim=1) for part in (result, relevance))
    assert bool((total <= arriving * (1 + 1e-9)).all())
    everything = rule().propagate(module, torch.ones_like(a), None, relevance)
    weights = torch.tensor(matrix(module, a))
    if rule is Excitation and bool((weights.amax(dim=0) > 0).all()):
        torch.testing.assert_close(everything.flatten(1).sum(dim=1), arriving)


def test_excitation_backprop_agrees_with_zennit():
    """Its composite with biases left out, relevance read at the same rectifier's output."""
    torch.manual_seed(0)
    model = small_vgg.build((1, 16, 16), 10).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = EPS
    x, target = torch.randn(6, 1, 16, 16).double(), torch.arange(6)
    model(2 * x + 1)
    model.eval()
    own = excitation_backprop(model, x, target)

    composite = ExcitationBackprop(
        stabilizer=1e-12, zero_params=["bias"], canonizers=[SequentialMergeBatchNorm()]
    )
    outputs = []
    model[2].register_forward_hook(lambda module, inputs, output: outputs.append(output))
    with composite.context(model) as explained:
        logits = explained(x.requires_grad_())
        (relevance,) = torch.autograd.grad(logits, outputs[0], torch.eye(10).double()[target])
    expected = nn.functional.interpolate(
        relevance.sum(dim=1, keepdim=True), size=(16, 16), mode="bilinear"
    )
    torch.testing.assert_close(own, expected.squeeze(1), rtol=1e-6, atol=1e-9)


def small_network():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.BatchNorm2d(3, eps=EPS),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 6),
        nn.ReLU(),
        nn.Linear(6, 3),
    ).double()


def test_rap_of_a_network_agrees_with_loops_layer_by_layer():
    model = small_network()
    x, target = torch.randn(5, 2, 4, 4).double(), torch.arange(5) % 3
    with torch.no_grad():
        model(2 * x + 1)
    model.eval()

    inputs = [x]
    with torch.no_grad():
        for module in model:
            inputs.append(module(inputs[-1]))
        logits = inputs[-1]
        relevance = logits.abs() * torch.eye(3)[target]
        relevance = slowly(slow_absolute_influence, model[9], inputs[9], relevance)
        relevance = slowly(slow_relative_attribution, model[7], inputs[7], relevance)
        relevance = slowly(
            slow_relative_attribution, model[4], inputs[4], relevance.reshape(5, 4, 2, 2)
        )
    pooled = inputs[3].clone().requires_grad_()
    (relevance,) = torch.autograd.grad(model[3](pooled), pooled, relevance)
    assert relevance.min() < 0 < relevance.max()
    expected = slowly(slow_box, model[:2], x, relevance).sum(dim=1)  # with batch norm, still affine
    torch.testing.assert_close(rap(model, x, target), expected)


def test_rap_does_not_turn_its_sign_with_the_logits():
    """The same network with all logits lowered below zero: the same map up to its scale."""
    model = small_network().eval()
    x, target = torch.randn(4, 2, 4, 4).double(), torch.zeros(4, dtype=torch.int64)
    before, high = rap(model, x, target), model(x)[:, 0].abs()
    with torch.no_grad():
        model[9].bias -= 100
    after, low = rap(model, x, target), model(x)[:, 0]
    assert low.max() < 0
    scale = (low.abs() / high).detach()[:, None, None]
    torch.testing.assert_close(after, before * scale)
