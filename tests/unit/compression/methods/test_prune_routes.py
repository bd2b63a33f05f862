"""Structured and unstructured pruning: what goes, what stays at zero, and what is laid over."""

import copy

import pytest
import torch

from ecqx.compression.artefact import bitstream
from ecqx.compression.contract import Quantized, content, make_method, quantizable
from ecqx.compression.methods.prune_routes import (
    PruneStructured,
    PruneUnstructured,
    without_smallest,
)
from ecqx.compression.run import compress_point
from ecqx.seeding import generator

ROUTES = {PruneStructured: {"pruned": 0.5}, PruneUnstructured: {"rounds": 3}}


def compressed(cls, model, task, **params):
    given = copy.deepcopy(model)
    return make_method(cls, ROUTES[cls] | params).compress(given, task, generator("t"))


def values(result):
    return {
        name: entry.dequantize() if isinstance(entry, Quantized) else entry
        for name, entry in result.tensors.items()
    }


@pytest.mark.parametrize("quantizer", ["none", "uniform", "cerwu"])
@pytest.mark.parametrize("cls", ROUTES)
def test_zero_weights_stay_zero_under_all_quantizers(cls, quantizer, small_cnn, small_task):
    plain = values(compressed(cls, small_cnn, small_task, quantizer="none"))
    found = compressed(cls, small_cnn, small_task, quantizer=quantizer, levels=15)
    for name in quantizable(small_cnn):
        assert isinstance(found.tensors[name], Quantized) == (quantizer != "none")
        assert not content(found.tensors[name])[plain[name] == 0].any(), name
    others = [name for name in plain if name not in quantizable(small_cnn)]
    assert all(torch.equal(found.tensors[name], plain[name]) for name in others)
    assert found.history == compressed(cls, small_cnn, small_task, quantizer="none").history


def test_half_of_the_filters_of_each_convolution_are_gone(small_cnn, small_task):
    state = values(compressed(PruneStructured, small_cnn, small_task, quantizer="none"))
    dead = {name: (state[f"{name}.weight"].flatten(1) == 0).all(1) for name in ("0", "3")}
    assert [int(d.sum()) for d in dead.values()] == [3, 4]
    assert not state["1.weight"][dead["0"]].any() and not state["1.bias"][dead["0"]].any()
    assert not state["3.bias"][dead["3"]].any() and not state["3.weight"][:, dead["0"]].any()
    assert not state["7.weight"].view(3, 8, 4)[:, dead["3"]].any()
    # the smallest of the trained network
    norms = small_cnn[3].weight.detach().abs().flatten(1).sum(1)
    assert norms[dead["3"]].max() < norms[~dead["3"]].min()


def test_only_named_layers_lose_filters(small_cnn, small_task):
    options = {"quantizer": "none", "pruned_layers": "3"}
    state = values(compressed(PruneStructured, small_cnn, small_task, **options))
    assert (state["0.weight"].flatten(1) != 0).any(1).all()
    assert int((state["3.weight"].flatten(1) == 0).all(1).sum()) == 4
    reason = PruneStructured(pruned_layers="3, 7").skip(small_cnn, small_task)
    assert reason == "pruned_layers: '7' is none of 0, 3"
    bare = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    assert "neither convolutions nor hidden layers" in PruneStructured().skip(bare, small_task)


def test_each_round_takes_a_fifth_of_what_is_left(small_cnn, small_task):
    result = compressed(PruneUnstructured, small_cnn, small_task, quantizer="none")
    total = sum(w.numel() for w in quantizable(small_cnn).values())
    left, shares = total, []
    for _ in range(3):
        left -= round(0.2 * left)
        shares.append(1 - left / total)
    found = [row["sparsity"] for row in result.history]
    assert found == pytest.approx(shares, abs=1e-9)
    assert result.epoch == 3
    reason = PruneUnstructured(rounds=4).skip(small_cnn, small_task)
    assert reason == "rounds: 4 take as many epochs at least, the budget has 3"


def test_the_smallest_of_all_tensors_go():
    weights = {"a": torch.tensor([[3.0, -1.0]]), "b": torch.tensor([[0.5, 2.0, -4.0, 0.1]])}
    masks = {"a": torch.tensor([[True, True]]), "b": torch.tensor([[True, True, True, False]])}
    found = without_smallest(weights, masks, 0.4)
    assert found["a"].tolist() == [[True, False]]
    assert found["b"].tolist() == [[False, True, True, False]]


@pytest.mark.parametrize("cls", ROUTES)
def test_matching_is_laid_over_training(cls, small_cnn, small_task):
    options = [{}, {"gamma": 0.0, "matching": "swa"}, {"matching": "swa"}, {"matching": "e2kd"}]
    results = [compressed(cls, small_cnn, small_task, **each).history for each in options]
    assert results[0] == results[1]
    losses = [history[0]["train_loss"] for history in results[1:]]
    assert losses[0] < losses[1] < losses[2]


def test_a_channel_of_zeros_costs_next_to_nothing(small_cnn, small_task):
    def size(pruned):
        outcome = compress_point(PruneStructured, {"pruned": pruned}, small_cnn, small_task, ("t",))
        return bitstream.parts(outcome.artefact)["weights"]

    full, half = size(0.0), size(0.5)
    assert half < 0.55 * full
