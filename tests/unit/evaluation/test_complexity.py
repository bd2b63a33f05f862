"""Complexity of maps: by hand, by invariances, and equal to Quantus' (Hedström et al., 2023).

Quantus adds 1e-7 to every position before it takes the Gini index; maps are given with largest
magnitude 1, where that is no difference. Its measures take magnitudes, as rows of absolute maps do.
"""

import math
import warnings

import numpy as np
import pytest
import quantus
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecqx.evaluation.complexity import (
    COMPLEXITIES,
    complexity,
    entropy,
    gini,
    histogram_entropy,
)
from ecqx.evaluation.explainers import gradient_x_input
from ecqx.tasks.models import small_vgg

THEIRS = {"gini": quantus.Sparseness, "entropy": quantus.Complexity}
BY_NAME = pytest.mark.parametrize("name", COMPLEXITIES)


def test_one_position_and_all_positions():
    maps = torch.zeros(3, 2, 5)
    maps[0, 1, 2] = 3e-30
    maps[1] = 7.0
    maps[2, 0, :2] = 1.0
    assert gini(maps).tolist() == pytest.approx([0.9, 0, 0.8])
    assert entropy(maps).tolist() == pytest.approx([0, math.log(10), math.log(2)])


def test_gini_is_half_the_relative_mean_difference():
    maps = torch.rand(4, 3, 5, generator=torch.Generator().manual_seed(0))
    flat = maps.flatten(1).double()
    differences = (flat[:, :, None] - flat[:, None, :]).abs().mean(dim=(1, 2))
    torch.testing.assert_close(gini(maps), differences / (2 * flat.mean(dim=1)))


@BY_NAME
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([1e-30, 1.0, 1e12]))
def test_neither_scale_nor_places_matter_and_negative_relevance_counts_as_none(name, seed, scale):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(3, 4, 6, generator=generator)
    fn, values = COMPLEXITIES[name].fn, COMPLEXITIES[name].fn(maps)
    order = torch.randperm(24, generator=generator)
    torch.testing.assert_close(fn(scale * maps.flatten(1)[:, order].reshape(3, 6, 4)), values)
    torch.testing.assert_close(fn(maps.clamp(min=0)), values)
    upper = {"gini": 1 - 1 / 24, "entropy": math.log(24)}[name]
    assert bool(((values >= 0) & (values <= upper + 1e-12)).all())


@BY_NAME
def test_a_degenerate_map_counts_as_constant(name):
    maps = torch.randn(5, 3, 4)
    maps[0], maps[1], maps[2] = 0, 2.5, -maps[2].abs()
    maps[3, 0, 0] = math.nan
    constant = {"gini": 0.0, "entropy": math.log(12)}[name]
    values = COMPLEXITIES[name].fn(maps)
    assert values[:4].tolist() == pytest.approx([constant] * 4)
    assert abs(values[4].item() - constant) > 0.1
    assert COMPLEXITIES[name].informative(maps).tolist() == [False] * 4 + [True]
    with pytest.raises(ValueError, match=r"maps: expected \(n, H, W\), got \(3, 4\)"):
        COMPLEXITIES[name].fn(maps[0])


@BY_NAME
@pytest.mark.parametrize("explainer", ["gradient_x_input", "grad_cam"])
def test_agrees_with_quantus(name, explainer, real_maps):
    maps = real_maps[0][explainer][0].double()
    maps = maps[COMPLEXITIES[name].informative(maps.abs())]
    maps = maps / maps.abs().amax(dim=(1, 2), keepdim=True)
    assert len(maps) >= 12
    arrays = maps.numpy()[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = THEIRS[name](disable_warnings=True, normalise=False)(
            model=None, x_batch=np.zeros_like(arrays), y_batch=np.zeros(len(maps), dtype=int),
            a_batch=arrays,
        )  # fmt: skip
    np.testing.assert_allclose(COMPLEXITIES[name].fn(maps.abs()), expected, atol=1e-5)


def test_entropy_rise_agrees_with_quantus_efficient_mprt():
    """Before and after on the very networks that Quantus makes and asks about."""
    torch.manual_seed(0)
    model = small_vgg.build((1, 16, 16), 4).eval()
    x, y, seen = torch.randn(6, 1, 16, 16), torch.arange(6) % 4, {}

    def explain(model, inputs, targets, **kwargs):
        x, y = torch.as_tensor(inputs), torch.as_tensor(targets)
        key = tuple(parameter.sum().item() for parameter in model.parameters())
        seen[key] = gradient_x_input(model, x, y)
        return seen[key].numpy()[:, None]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = quantus.EfficientMPRT(disable_warnings=True)(
            model=model, x_batch=x.numpy(), y_batch=y.numpy(), explain_func=explain, batch_size=6
        )
    before, after = (histogram_entropy(maps) for maps in seen.values())
    np.testing.assert_allclose((after - before) / before, expected, atol=1e-9)


def test_entropy_of_values_of_any_scale_and_of_nothing():
    even = torch.linspace(-3, 5, 1000).reshape(1, 20, 50)
    maps = torch.cat([even, 1e-30 * even, torch.zeros_like(even), torch.full_like(even, math.nan)])
    assert histogram_entropy(maps).tolist() == pytest.approx([math.log(100)] * 2 + [0, 0], abs=1e-4)


def test_registry_guards_names():
    assert list(COMPLEXITIES) == ["gini", "entropy"]
    assert all(entry.label and entry.unit and entry.source for entry in COMPLEXITIES.values())
    with pytest.raises(ValueError, match="'gini' is registered already"):
        complexity(label="", unit="", higher_is_better=True, source="")(gini)
