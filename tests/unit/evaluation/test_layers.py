"""Relevance of weights by layer: conservation, NumPy and SciPy, a network by hand."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from ecqx.attribution.weight_relevance import weight_relevance
from ecqx.evaluation.layers import mean_weight_relevance, relevance_rows
from ecqx.tasks.models import residual_cnn


@pytest.fixture(scope="module")
def explained():
    torch.manual_seed(0)
    model = residual_cnn.build((1, 8, 8), 5).eval()
    x, target = torch.randn(30, 1, 8, 8), torch.randint(5, (30,))
    return model, x, target, mean_weight_relevance(model, x, target)


def test_mean_over_batches_is_the_mean_over_samples(explained):
    model, x, target, relevance = explained
    whole = weight_relevance(model, x, target)
    parts = mean_weight_relevance(model, x, target, batch_size=7)
    single = [weight_relevance(model, x[i : i + 1], target[i : i + 1]) for i in range(len(x))]
    for name, value in whole.items():
        scale = value.abs().max().item()
        mean = torch.stack([one[name] for one in single]).mean(dim=0)
        for other in (relevance[name], parts[name], mean):
            torch.testing.assert_close(other, value, rtol=0, atol=1e-3 * scale)


def test_a_dense_layer_hands_on_the_logit():
    """Without biases the relevance of the only layer's weights is the mean explained logit."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 8, bias=False), nn.ReLU(),
                          nn.Linear(8, 3, bias=False))  # fmt: skip
    x, target = torch.randn(16, 1, 3, 4), torch.randint(3, (16,))
    logit = model(x).gather(1, target[:, None]).mean().item()
    relevance = mean_weight_relevance(model, x, target, batch_size=5)
    assert relevance["3.weight"].sum().item() == pytest.approx(logit, rel=1e-4)


def test_rows_agree_with_scipy_and_numpy(explained):
    model, _, _, relevance = explained
    rows = relevance_rows(model, relevance)
    names = [name for name, tensor in model.named_parameters() if tensor.ndim >= 2]
    assert [row["tensor"] for row in rows[::10]] == names
    for position, name in enumerate(names):
        ten = rows[10 * position : 10 * position + 10]
        weight = model.get_parameter(name).detach().abs().flatten().numpy()
        found = relevance[name].abs().flatten().double().numpy()
        expected = scipy.stats.spearmanr(weight, found).statistic
        groups = np.array_split(found[np.argsort(weight, kind="stable")], 10)
        for decile, (row, group) in enumerate(zip(ten, groups, strict=True), start=1):
            assert (row["tensor"], row["position"], row["weights"], row["decile"]) == (
                name, position, len(weight), decile,
            )  # fmt: skip
            assert row["spearman"] == pytest.approx(expected, abs=1e-9)
            assert row["relevance_share"] == pytest.approx(group.sum() / found.sum())
        assert sum(row["relevance_share"] for row in ten) == pytest.approx(1)


def test_known_shares():
    """Twenty weights, relevance equal to their magnitude: the k-th pair holds (4k - 1) / 210."""
    model = nn.Linear(20, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[*range(-20, 0)]]) * 1.0)
    rows = relevance_rows(model, {"weight": -model.weight.detach()})
    assert [row["spearman"] for row in rows] == [pytest.approx(1)] * 10
    expected = [(4 * k - 1) / 210 for k in range(1, 11)]
    assert [row["relevance_share"] for row in rows] == pytest.approx(expected)


def test_relevance_that_is_nowhere_or_everywhere_alike():
    model = nn.Linear(20, 1)
    nowhere = relevance_rows(model, {"weight": torch.zeros(1, 20)})
    assert all(math.isnan(r["relevance_share"]) and math.isnan(r["spearman"]) for r in nowhere)
    alike = relevance_rows(model, {"weight": torch.ones(1, 20)})
    assert [row["relevance_share"] for row in alike] == pytest.approx([0.1] * 10)
    assert all(math.isnan(row["spearman"]) for row in alike)
    assert relevance_rows(nn.Linear(3, 1), {"weight": torch.ones(1, 3)})[9]["relevance_share"] == 0
