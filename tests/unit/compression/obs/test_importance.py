"""How much outputs count, by hand, and what becomes of it in the metric."""

import pytest
import torch
from torch import nn

from ecqx.attribution.weight_relevance import output_relevance
from ecqx.compression.artefact import bitstream
from ecqx.compression.methods.obs import CERWU, RelevanceOBS
from ecqx.compression.obs.hessians import input_moments
from ecqx.compression.obs.importance import SOURCES, importance, squared_gradients
from ecqx.compression.run import attempt_point, compress_point
from ecqx.seeding import generator

PARTS = ("compress", "test", 0)


@pytest.fixture
def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6, bias=False), nn.ReLU(), nn.Linear(6, 3, bias=False))


def test_relevance_at_the_outputs_of_a_perceptron_by_hand(mlp):
    x, y = torch.rand(7, 5), torch.arange(7) % 3
    found = output_relevance(mlp, x, y)
    with torch.no_grad():
        hidden = mlp[:2](x)
        logits = mlp[2](hidden)[torch.arange(7), y]
        shares = hidden * mlp[2].weight[y]
    assert list(found) == ["0.weight", "2.weight"]
    assert torch.allclose(found["2.weight"], logits.abs()[:, None] / 7, rtol=1e-4)
    # a hidden unit receives its contribution to the logit
    assert torch.allclose(found["0.weight"], shares.abs().sum(dim=1)[:, None] / 7, rtol=1e-3)


def test_positions_are_those_of_the_layers_outputs(small_cnn, small_task):
    x, y = small_task.train.x[:4], small_task.train.y[:4]
    found = output_relevance(small_cnn, x, y)
    assert {name: own.shape for name, own in found.items()} == {
        "0.weight": (4, 64), "3.weight": (4, 64), "7.weight": (4, 1)
    }  # fmt: skip
    gradients = squared_gradients(small_cnn, x, y, small_task)
    assert {n: own.shape for n, own in gradients.items()} == {n: o.shape for n, o in found.items()}


def test_squared_gradients_by_hand(mlp, small_task):
    x, y = torch.rand(7, 5), torch.arange(7) % 3
    found = squared_gradients(mlp, x, y, small_task)
    with torch.no_grad():
        error = (mlp(x).softmax(1) - nn.functional.one_hot(y, 3)) / 7
        back = (error @ mlp[2].weight) * (mlp[0](x) > 0)
    assert torch.allclose(found["2.weight"], error.square().sum(1, keepdim=True), rtol=1e-4)
    assert torch.allclose(found["0.weight"], back.square().sum(1, keepdim=True), rtol=1e-4)
    assert all(parameter.grad is None for parameter in mlp.parameters())


def test_moments_are_weighted_means():
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3, stride=2, padding=1)
    x = torch.randn(90, 2, 6, 6)
    counts = torch.rand(90, 9) ** 3
    places = iter(counts.split(64))
    found = input_moments(
        nn.Sequential(layer), x, x, lambda model, part, of: {"0.weight": next(places)}
    )["0.weight"]
    change = torch.randn_like(layer.weight)
    with torch.no_grad():
        before = layer(x)
        layer.weight += change
        errors = (layer(x) - before).square().flatten(2).double()
    expected = (errors * counts[:, None]).sum(dim=(0, 2)) / counts.double().sum()
    rows = change.double().flatten(1)
    assert torch.allclose(torch.einsum("ri,ij,rj->r", rows, found[0], rows), expected, rtol=1e-4)


def test_shuffled_keeps_the_values_and_loses_their_place(small_cnn, small_task):
    x, y = small_task.train.x[:6], small_task.train.y[:6]
    lrp = importance("lrp", small_task, generator("x"))(small_cnn, x, y)
    other = importance("shuffled", small_task, generator("x"))(small_cnn, x, y)
    for name, own in lrp.items():
        assert torch.equal(own.flatten().sort()[0], other[name].flatten().sort()[0])
        assert own.numel() < 10 or not torch.equal(own, other[name])
    assert importance("constant", small_task, generator("x")) is None


def test_constant_is_cerwu_and_the_others_are_not(small_cnn, small_task):
    params = {"levels": 7, "lam": 0.1}
    plain = compress_point(CERWU, params, small_cnn, small_task, PARTS).artefact
    made = {
        name: compress_point(
            RelevanceOBS, params | {"relevance": name}, small_cnn, small_task, PARTS
        ).artefact
        for name in SOURCES
    }
    assert made["constant"] == plain
    assert len(set(made.values())) == 4
    assert all(bitstream.decode(artefact) for artefact in made.values())


def test_a_layer_without_a_rule_is_a_reason_to_skip(small_cnn, small_task):
    small_cnn[2] = nn.GroupNorm(2, 6)
    outcome = attempt_point(RelevanceOBS, {}, small_cnn, small_task, PARTS)
    assert outcome.status == "skipped" and "no LRP rule for: 2" in outcome.reason
    gradient = {"relevance": "gradient"}
    assert attempt_point(RelevanceOBS, gradient, small_cnn, small_task, PARTS).status == "ok"
