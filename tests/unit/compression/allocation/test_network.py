"""Whole networks: the budget is the coder's, points share what they can, out of reach is said."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from ecqx.compression.allocation import network
from ecqx.compression.allocation.candidates import LEVELS, make_candidates
from ecqx.compression.allocation.network import allocate, bitstream_size
from ecqx.compression.allocation.sensitivity import SENSITIVITIES
from ecqx.compression.artefact import bitstream, size
from ecqx.compression.methods.allocate import Allocate
from ecqx.compression.obs.hessians import input_moments
from ecqx.compression.run import attempt_point, compress_point

PARTS = ("compress", "test", 0)


@pytest.fixture
def candidates(small_cnn, small_task):
    return make_candidates(small_cnn, input_moments(small_cnn, small_task.train.x), 0.1)


def test_every_budget_is_kept_and_used(small_cnn, candidates):
    costs = candidates.errors
    ends = [bitstream_size(small_cnn, candidates, np.full(3, place)) for place in (0, -1)]
    budgets = list(range(ends[0], ends[1] + 60, 23))
    found = [allocate(small_cnn, candidates, costs, budget) for budget in budgets]
    sizes = [len(bitstream.encode(own.tensors, small_cnn)) for own in found]
    assert all(own <= budget for own, budget in zip(sizes, budgets, strict=True))
    assert len(set(sizes)) > 10 and sizes[-1] == ends[1]
    assert allocate(small_cnn, candidates, costs, ends[0] - 1) is None
    # exactly what it takes is enough
    assert len(bitstream.encode(allocate(small_cnn, candidates, costs, sizes[7]).tensors,
                                small_cnn)) == sizes[7]  # fmt: skip


def test_a_choice_whose_rest_exceeds_the_budget_is_made_again(small_cnn, candidates, monkeypatch):
    """As if the rest of the bitstream took more with larger weights."""
    rows, smallest = np.arange(3), candidates.sizes.argmin(axis=1)
    asked = []

    def larger(model, own, choice):
        asked.append(choice)
        return int(own.sizes[rows, choice].sum()) + 20 * int((choice != smallest).sum())

    monkeypatch.setattr(network, "bitstream_size", larger)
    monkeypatch.setattr(network, "chosen", lambda model, own, choice: choice)
    least = larger(small_cnn, candidates, smallest)
    assert allocate(small_cnn, candidates, candidates.errors, least - 1) is None
    again = 0
    for budget in range(least, least + 200, 7):
        asked.clear()
        found = allocate(small_cnn, candidates, candidates.errors, budget)
        assert larger(small_cnn, candidates, found) <= budget
        again += len(asked) > 3
    assert again > 10
    assert (allocate(small_cnn, candidates, candidates.errors, least) == smallest).all()


@pytest.mark.parametrize("sensitivity", SENSITIVITIES)
def test_the_artefact_keeps_the_ratio(sensitivity, small_cnn, small_task):
    params = {"ratio": 5.0, "sensitivity": sensitivity}
    outcome = compress_point(Allocate, params, small_cnn, small_task, PARTS)
    again = compress_point(Allocate, params, small_cnn, small_task, PARTS)
    whole = size.full_precision_bytes(small_cnn)
    assert 5.0 * len(outcome.artefact) <= whole
    # the loss of an untrained network may be less with fewer bytes
    assert sensitivity == "loss" or 5.0 * len(outcome.artefact) > 0.9 * whole
    assert outcome.artefact == again.artefact


def test_out_of_reach_is_said_in_one_line(small_cnn, small_task):
    outcome = attempt_point(Allocate, {"ratio": 500.0}, small_cnn, small_task, PARTS)
    whole = size.full_precision_bytes(small_cnn)
    assert outcome.status == "failed" and "\n" not in outcome.reason
    assert f"ratio: 500.0 asks for at most {whole // 500} bytes" in outcome.reason
    most = float(outcome.reason.rsplit(" ", 1)[1])
    assert attempt_point(Allocate, {"ratio": 0.99 * most}, small_cnn, small_task, PARTS).artefact


def test_points_share_candidates_and_costs(small_cnn, small_task, monkeypatch):
    calls = []
    made, measured = network.make_candidates, network.costs
    monkeypatch.setattr(network, "_latest", {})
    monkeypatch.setattr(network, "make_candidates", lambda *a: calls.append("m") or made(*a))
    monkeypatch.setattr(network, "costs", lambda *a: calls.append("c") or measured(*a))

    def compress(task=small_task, seed=0, **params):
        params = {"ratio": 5.0, "sensitivity": "hessian", "samples": 16} | params
        parts = (*PARTS[:-1], seed)
        return compress_point(Allocate, params, small_cnn, task, parts).artefact

    first = compress()
    compress(ratio=4.0)
    assert "".join(calls) == "mc"
    compress(samples=8)
    compress(sensitivity="constant")
    other = dataclasses.replace(small_task, loss=lambda logits, y: 2 * small_task.loss(logits, y))
    compress(task=other)
    assert "".join(calls) == "mcccc"
    compress(lam=0.2)
    compress(seed=1)
    assert "".join(calls) == "mccccmcmc"
    assert compress() == first


def test_weights_of_any_layer_take_part(small_task):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3))
    model.register_parameter("unused", nn.Parameter(torch.randn(16, 16)))
    outcome = compress_point(Allocate, {"ratio": 6.0}, model, small_task, PARTS)
    # which no loss depends on: the fewest bytes
    assert bitstream.decode(outcome.artefact)["unused"].unique().numel() <= LEVELS[0]


def test_a_layer_without_a_rule_is_a_reason_to_skip(small_cnn, small_task):
    small_cnn[2] = nn.GroupNorm(2, 6)
    outcome = attempt_point(Allocate, {"sensitivity": "lrp"}, small_cnn, small_task, PARTS)
    assert outcome.status == "skipped" and "no LRP rule for: 2" in outcome.reason
    reasons = {name: Allocate(sensitivity=name).skip(small_cnn, small_task) is not None
               for name in SENSITIVITIES}  # fmt: skip
    assert {name for name, skipped in reasons.items() if skipped} == {"lrp", "shuffled"}
    assert attempt_point(Allocate, {}, small_cnn, small_task, PARTS).status == "ok"
