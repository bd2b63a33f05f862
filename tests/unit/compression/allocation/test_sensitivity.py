"""Sensitivities by hand, by other means, and what the controls keep."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from ecqx.attribution.weight_relevance import weight_relevance
from ecqx.compression.allocation import sensitivity
from ecqx.compression.allocation.candidates import make_candidates
from ecqx.compression.allocation.sensitivity import costs, curvatures, relevances
from ecqx.compression.contract import quantizable
from ecqx.seeding import generator


@pytest.fixture
def samples(small_task):
    return small_task.train.x[:70], small_task.train.y[:70]


def test_curvature_is_that_of_gradients_of_single_samples(small_cnn, small_task, samples):
    weights = {name: weight.detach() for name, weight in quantizable(small_cnn).items()}
    small_cnn.eval()

    def loss(weights, one, of):
        logits = torch.func.functional_call(small_cnn, weights, (one[None],))
        return small_task.loss(logits, of[None])

    gradients = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(weights, *samples)
    found = curvatures(small_cnn.train(), *samples, small_task.loss)
    assert list(found) == list(weights) and small_cnn.training
    for name, own in gradients.items():
        trace = float(own.detach().flatten(1).square().sum(dim=1).mean())
        n = weights[name].numel()
        expected = trace / n * float(weights[name].square().sum())
        assert found[name] == pytest.approx(expected, rel=1e-4)
    assert all(parameter.grad is None for parameter in small_cnn.parameters())


def test_curvature_of_a_linear_network_by_hand(small_task):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 3, bias=False))
    model.register_parameter("unused", nn.Parameter(torch.randn(2, 2)))
    x, y = torch.randn(9, 5), torch.arange(9) % 3
    found = curvatures(model, x, y, small_task.loss)
    with torch.no_grad():
        error = model(x).softmax(1) - nn.functional.one_hot(y, 3)
        trace = (error.square().sum(1) * x.square().sum(1)).mean()
        expected = trace * model[0].weight.square().mean()
    assert found == {"unused": 0, "0.weight": pytest.approx(float(expected), rel=1e-5)}


def test_relevance_is_the_librarys(small_cnn, samples):
    expected = weight_relevance(small_cnn, *samples)
    found = relevances(small_cnn, *samples)
    assert list(found) == list(quantizable(small_cnn))
    for name, own in expected.items():
        assert found[name] == pytest.approx(float(own.abs().sum()), rel=1e-4)


def test_weights_without_relevance_count_as_the_others_on_average(small_cnn, samples):
    known = relevances(small_cnn, *samples)
    small_cnn[2].add_module("aside", nn.Linear(4, 4))
    found = relevances(small_cnn, *samples)
    assert found.pop("2.aside.weight") == pytest.approx(np.mean(list(known.values())))
    assert found == pytest.approx(known)


def test_costs_are_sensitivity_times_error(small_cnn, small_task, samples, monkeypatch):
    candidates = make_candidates(small_cnn, {}, 0.1)
    given = (small_cnn, candidates, *samples, small_task)

    def of(name):
        return costs(name, *given, generator("x"))

    lrp, curvature = relevances(small_cnn, *samples), curvatures(small_cnn, *samples,
                                                                 small_task.loss)  # fmt: skip
    for name, factors in (("lrp", lrp), ("hessian", curvature)):
        expected = np.array(list(factors.values()))[:, None] * candidates.errors
        assert np.allclose(of(name), expected, rtol=1e-12)
    assert np.array_equal(of("constant"), candidates.errors)
    own, shuffled = (found[:, 0] / candidates.errors[:, 0] for found in (of("lrp"), of("shuffled")))
    assert np.allclose(np.sort(own), np.sort(shuffled), rtol=1e-9)
    assert np.array_equal(of("shuffled"), of("shuffled"))
    monkeypatch.setattr(sensitivity, "relevances", lambda model, x, y: lrp)
    other = [costs("shuffled", *given, generator("x", seed)) for seed in range(30)]
    assert len({tuple(found[:, 0]) for found in other}) == 6  # all orders of three


def test_the_loss_is_the_tasks(small_cnn, small_task, samples):
    candidates = make_candidates(small_cnn, {}, 0.1)
    halved = dataclasses.replace(small_task, loss=lambda logits, y: small_task.loss(logits, y) / 2)
    whole, half = (
        costs("loss", copy.deepcopy(small_cnn), candidates, *samples, task, generator("x"))
        for task in (small_task, halved)
    )
    assert np.allclose(half, whole / 2, atol=1e-7)
