"""WCAM laid over other methods: it composes with each of them, and is gone with gamma = 0."""

import copy
import dataclasses
from pathlib import Path

import pytest
import torch

from ecqx.checks import example
from ecqx.compression.contract import Quantized, make_method
from ecqx.compression.loading import load_method
from ecqx.compression.methods import matched
from ecqx.compression.methods.matched import layer_names
from ecqx.compression.methods.matching import MATCHINGS
from ecqx.compression.run import attempt_point
from ecqx.seeding import generator

BASELINES = Path(__file__).parents[4] / "baselines"
BASES = {"wcam": "uniform", "ecq_wcam": "ecq", "ecqx_wcam": "ecqx"}


def method_class(name):
    return load_method(BASELINES / f"{name}.py")


def method(name, **params):
    return make_method(method_class(name), params)


def compressed(model, task, name, **params):
    given = copy.deepcopy(model)
    result = method(name, **params).compress(given, task, generator("t"))
    assert all(not module._forward_hooks for module in given.modules())
    return result


def assert_same(found, expected):
    """The same codes, floats and history, bit for bit."""
    assert found.history == expected.history
    assert found.epoch == expected.epoch
    assert found.tensors.keys() == expected.tensors.keys()
    for name, entry in expected.tensors.items():
        other = found.tensors[name]
        assert type(other) is type(entry)
        if isinstance(entry, Quantized):
            assert other.step == entry.step
            entry, other = entry.codes, other.codes
        assert torch.equal(other, entry), name


@pytest.mark.parametrize("off", [{"gamma": 0, "matching": "sswa"}, {"matching": "none"}])
@pytest.mark.parametrize(("name", "base"), BASES.items())
def test_where_nothing_is_matched_it_is_the_other_method(
    name, base, off, small_cnn, small_task, monkeypatch
):
    """Bit for bit, and at its cost: no teacher, no sensitivities."""
    expected = compressed(small_cnn, small_task, base, bits=3)

    def refuse(*args, **options):
        raise AssertionError("attribution maps are matched")

    monkeypatch.setattr(matched, "AttributionMatching", refuse)
    found = compressed(small_cnn, small_task, name, bits=3, layers="1,4", **off)
    assert_same(found, expected)


@pytest.mark.parametrize(("name", "base"), BASES.items())
def test_with_weight_it_is_not(name, base, small_cnn, small_task):
    expected = compressed(small_cnn, small_task, base, bits=3)
    rows = [
        compressed(small_cnn, small_task, name, bits=3, **options).history[-1]
        for options in (
            {},
            {"matching": "ewa"},
            {"matching": "e2kd"},
            {"force": "equal"},
            {"interval": 2},
            {"matching": "sswa"},
            {"matching": "sswa", "dropped": 0.5},
            {"layers": "1"},
            {"layers": "1, 4"},
            {"gamma": 10.0},
        )
    ]
    losses = [row["train_loss"] for row in [expected.history[-1], *rows]]
    assert len(set(losses)) == len(losses)


def test_ecqx_under_a_constant_relevance_is_ecq_also_with_matching(small_cnn, small_task):
    """The assignment is that of the base method, and the penalty the same on both."""
    options = {"bits": 4, "lam": 0.2, "matching": "sswa"}
    expected = compressed(small_cnn, small_task, "ecq_wcam", **options)
    found = compressed(small_cnn, small_task, "ecqx_wcam", relevance="constant", **options)
    assert_same(found, expected)
    relevant = compressed(small_cnn, small_task, "ecqx_wcam", **options)
    assert relevant.history != expected.history


@pytest.mark.parametrize("name", BASES)
def test_a_network_without_convolutions(name, small_mlp, small_task):
    for matching in MATCHINGS:
        result = compressed(small_mlp, small_task, name, matching=matching, layers="2,4")
        assert len(result.history) == small_task.budget.epochs


@pytest.mark.parametrize(("name", "base"), BASES.items())
def test_fields_are_those_of_both(name, base):
    fields = [f.name for f in dataclasses.fields(method(name))]
    own = [f.name for f in dataclasses.fields(method(base))]
    assert fields == [*own, "gamma", "matching", "force", "interval", "layers", "dropped"]
    assert method(name).gamma == 100.0
    assert method(name).matching == "swa"
    assert method(name).layers == ""
    assert method(name).dropped == 0.3


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"bits": 1}, "bits: 1 is out of range"),
        ({"gamma": -1.0}, "gamma: -1.0 is out of range"),
        ({"matching": "sewa"}, "matching: 'sewa' is unknown, expected one of none, ewa, swa"),
        ({"force": "own"}, "force: 'own' is unknown, expected one of paper, equal"),
        ({"interval": 0}, "interval: 0 is out of range, expected 1 to"),
        ({"dropped": 1.5}, "dropped: 1.5 is out of range"),
        ({"layers": "4,,1"}, "layers: '4,,1' has an empty or a repeated name"),
        ({"layers": "4, 4"}, "layers: '4, 4' has an empty or a repeated name"),
        ({"layers": 4}, "layers: 4 is int, expected text"),
    ],
)
def test_bad_hyper_parameters_are_named(name, params, message):
    with pytest.raises(ValueError, match=message):
        method(name, **params)


def test_logits_are_in_the_loss_of_e2kd_already():
    model, task = example()
    for matching, refused in (("e2kd", True), ("swa", False)):
        params = {"distil": True, "matching": matching}
        outcome = attempt_point(method_class("wcam"), params, model, task, ("t",))
        assert (outcome.status, "the logits are in the loss already" in outcome.reason) == (
            ("failed", True) if refused else ("ok", False)
        )


def test_layer_names():
    assert layer_names("") == layer_names(" ") == []
    assert layer_names("features.3") == ["features.3"]
    assert layer_names("features.3, head.0") == ["features.3", "head.0"]


@pytest.mark.parametrize("name", BASES)
def test_the_model_comes_back_without_hooks_after_errors(name, small_cnn, small_task):
    with pytest.raises(ValueError, match="layers: '44' is unknown"):
        method(name, layers="44").compress(small_cnn, small_task, generator("t"))

    def fail(logits, y):
        raise RuntimeError("stop")

    task = dataclasses.replace(small_task, loss=fail)
    with pytest.raises(RuntimeError, match="stop"):
        method(name).compress(small_cnn, task, generator("t"))
    assert all(not module._forward_hooks for module in small_cnn.modules())
