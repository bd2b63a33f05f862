"""Whole networks: points share what was measured, and what is small stays accurate."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from ecqx.compression.artefact import bitstream
from ecqx.compression.assignment.grid import fit_grid
from ecqx.compression.contract import quantizable
from ecqx.compression.methods.obs import CERWU, OPTQ
from ecqx.compression.methods.uniform_ptq import UniformPTQ
from ecqx.compression.obs import network
from ecqx.compression.run import compress_point
from ecqx.seeding import generator
from ecqx.tasks.task import predict

PARTS = ("compress", "test", 0)


@pytest.fixture
def trained(small_cnn, small_task):
    optimizer = torch.optim.Adam(small_cnn.parameters(), lr=1e-2)
    for epoch in range(1, 8):
        for x, y in small_task.batches(epoch):
            optimizer.zero_grad()
            small_task.loss(small_cnn.train()(x), y).backward()
            optimizer.step()
    return small_cnn.eval()


def test_outputs_are_closer_than_those_of_nearest_levels(trained, small_task):
    x = small_task.validation.x
    expected = predict(trained, x)
    errors = []
    for method in (UniformPTQ, OPTQ):
        outcome = compress_point(method, {"levels": 5}, trained, small_task, PARTS)
        decoded = bitstream.load(copy.deepcopy(trained), bitstream.decode(outcome.artefact))
        errors.append(float((predict(decoded, x) - expected).square().mean()))
    assert errors[1] < errors[0]


def test_more_weight_of_the_rate_is_smaller(trained, small_task):
    sizes = [
        len(compress_point(CERWU, {"levels": 31, "lam": lam}, trained, small_task, PARTS).artefact)
        for lam in (0.0, 0.1, 0.4)
    ]
    assert sizes == sorted(sizes, reverse=True) and sizes[2] < 0.9 * sizes[0]


def test_without_rate_it_is_optq(trained, small_task):
    same = {"levels": 9, "step_rule": "percentile"}
    one = compress_point(CERWU, same | {"lam": 0.0}, trained, small_task, PARTS)
    assert one.artefact == compress_point(OPTQ, same, trained, small_task, PARTS).artefact


def test_points_share_moments_of_the_same_inputs(trained, small_task, monkeypatch):
    calls = []
    measured = network.input_moments
    monkeypatch.setattr(network, "_known", {})
    monkeypatch.setattr(network, "input_moments", lambda *a: calls.append(1) or measured(*a))
    for levels in (3, 5):
        compress_point(OPTQ, {"levels": levels}, trained, small_task, PARTS)
    assert len(calls) == 1
    other = dataclasses.replace(small_task)
    compress_point(OPTQ, {}, trained, other, (*PARTS[:-1], 1))
    with torch.no_grad():
        trained[0].weight *= 1.01
    compress_point(OPTQ, {}, trained, small_task, PARTS)
    assert len(calls) == 3
    few = network.calibration_moments(trained, small_task, 10**6, generator("x"))
    assert set(few) == set(quantizable(trained))


def test_weights_without_measured_inputs_go_to_the_nearest_level(small_task):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    model.register_parameter("unused", nn.Parameter(torch.randn(4, 4)))
    outcome = compress_point(OPTQ, {"levels": 7}, model, small_task, PARTS)
    grid = fit_grid(model.unused, levels=7, step_rule="least_squares").coded()
    expected = grid.nearest(model.unused.detach()) * grid.step
    assert torch.equal(bitstream.decode(outcome.artefact)["unused"], expected)
