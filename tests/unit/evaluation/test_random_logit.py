"""The random logit test tells explainers of a class from those of the network alone."""

import warnings

import numpy as np
import pytest
import quantus
import torch
from torch import nn

from ecqx.evaluation import random_logit
from ecqx.evaluation.consistency import METRICS
from ecqx.evaluation.explainers import EXPLAINERS, explainer
from ecqx.evaluation.random_logit import other_classes, random_logit_rows


@pytest.fixture
def network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 4)).double()
    x, target = torch.randn(9, 1, 3, 4).double(), torch.arange(9) % 4
    return model, x, target


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_values_are_those_of_maps_of_the_drawn_classes(network):
    model, x, target = network
    x[3] = 0  # gradient x input is all zero: degenerate
    names, metrics = ["gradient_x_input", "smoothgrad"], ["pearson", "cosine"]
    rows = random_logit_rows(model, x, target, 4, names, metrics, rng(5))
    assert [(row["explainer"], row["signed"], row["metric"]) for row in rows] == [
        (name, signed, metric) for name in names for signed in (True, False) for metric in metrics
    ]
    other = other_classes(target, 4, rng(5))
    fn = EXPLAINERS["gradient_x_input"].fn
    kept = torch.tensor([0, 1, 2, 4, 5, 6, 7, 8])
    maps = fn(model, x, other)[kept], fn(model, x, target)[kept]
    for row in rows[:4]:
        pair = maps if row["signed"] else [part.abs() for part in maps]
        values = METRICS[row["metric"]].fn(*pair)
        assert row["n"] == 8
        assert row["mean"] == pytest.approx(values.mean().item())
        assert row["std"] == pytest.approx(values.std().item())


def test_agrees_with_quantus(network):
    """On the classes that Quantus draws, under its Pearson correlation."""
    model, x, target = network
    asked = []

    def explain(model, inputs, targets, **kwargs):
        asked.append(torch.as_tensor(targets))
        maps = EXPLAINERS["gradient_x_input"].fn(model, torch.as_tensor(inputs), asked[-1])
        return maps.numpy()[:, None]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = quantus.RandomLogit(
            num_classes=4,
            similarity_func=quantus.similarity_func.correlation_pearson,
            abs=False,
            normalise=False,
            disable_warnings=True,
        )(model=model, x_batch=x.numpy(), y_batch=target.numpy(), explain_func=explain)
    others = asked[-1]
    assert bool((others != target).all())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random_logit, "other_classes", lambda *_: others)
        rows = random_logit_rows(*network, 4, ["gradient_x_input"], ["pearson"], rng())
    assert rows[0]["signed"]
    assert rows[0]["mean"] == pytest.approx(np.mean(expected), abs=1e-9)
    assert rows[0]["std"] == pytest.approx(np.std(expected, ddof=1), abs=1e-9)


def test_an_explainer_that_ignores_the_class_keeps_its_maps(network):
    def input_alone(model, x, target):
        return x.sum(dim=1)

    explainer(label="", source="")(input_alone)
    try:
        rows = random_logit_rows(*network, 4, ["input_alone"], ["cosine"], rng())
    finally:
        del EXPLAINERS["input_alone"]
    assert [row["mean"] for row in rows] == pytest.approx([1, 1])


def test_another_class_is_any_other_and_each_as_often():
    target = torch.arange(5).repeat(4000)
    other = other_classes(target, 5, rng())
    counts = torch.zeros(5, 5).index_put_((target, other), torch.tensor(1.0), accumulate=True)
    assert bool((counts.diagonal() == 0).all())
    assert bool(((counts[~torch.eye(5, dtype=torch.bool)] - 1000).abs() < 150).all())
    assert torch.equal(other, other_classes(target, 5, rng()))


def test_bad_input_is_named(network):
    with pytest.raises(ValueError, match="classes: expected at least 2, got 1"):
        random_logit_rows(*network, 1, ["smoothgrad"], ["cosine"], rng())
    with pytest.raises(ValueError, match="metrics: unknown cosin; known: pearson, cosine"):
        random_logit_rows(*network, 4, ["smoothgrad"], ["cosin"], rng())
