"""Meta-evaluation: by definition, by a slow derivation, and at its ends."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ecqx.evaluation.meta_evaluation import (
    adversary_reactivity,
    noise_resilience,
    noise_to_signal,
    perturbed_inputs,
    perturbed_network,
)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(seed, networks=4, samples=30):
    generator = np.random.default_rng(seed)
    before = generator.normal(size=(networks, samples))
    after = before + generator.normal(scale=0.3, size=before.shape)
    return before, after, generator.random(before.shape) < 0.9


def signed_rank(before, after):
    """p-value of Wilcoxon's test in the normal approximation, of values without ties."""
    differences = sorted(after - before, key=abs)
    n = len(differences)
    positive = sum(rank for rank, d in enumerate(differences, start=1) if d > 0)
    z = (positive - n * (n + 1) / 4) / math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    return math.erfc(abs(z) / math.sqrt(2))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), higher=st.booleans())
def test_equal_to_a_slow_derivation(seed, higher):
    before, after, counted = draw(seed)
    p_values = [signed_rank(a[k], b[k]) for a, b, k in zip(before, after, counted, strict=True)]
    stay = [
        sum(before[other, i] < before[own, i] for other in range(4))
        == sum(after[other, i] < after[own, i] for other in range(4))
        for i in range(30)
        if counted[:, i].all()
        for own in range(4)
    ]
    found = noise_resilience(before, after, counted)
    assert found == pytest.approx((np.mean(p_values), np.mean(stay)))
    worse = [
        (after[own, i] < before[own, i]) if higher else (after[own, i] > before[own, i])
        for own in range(4)
        for i in range(30)
        if counted[own, i]
    ]
    found = adversary_reactivity(before, after, counted, higher)
    assert found == pytest.approx((1 - np.mean(p_values), np.mean(worse)))


def test_at_the_ends():
    before, _, _ = draw(0)
    every = np.ones(before.shape, dtype=bool)
    assert noise_resilience(before, before, every) == pytest.approx((1, 1))
    assert adversary_reactivity(before, before, every, True) == pytest.approx((0, 0))
    # all fall alike: the order is the same, the shift is seen
    intra, inter = noise_resilience(before, before - 1, every)
    assert intra < 1e-5 and inter == 1
    assert adversary_reactivity(before, before - 1, every, True) == pytest.approx((1, 1), abs=1e-5)
    assert adversary_reactivity(before, before - 1, every, False)[1] == 0
    # the best becomes the worst
    before = np.sort(before, axis=0)
    assert noise_resilience(before, before[::-1], every)[1] == 0


def test_noise_is_measured_by_what_destruction_does():
    before, after, counted = draw(2)
    broken = np.where(counted, after, np.nan)
    assert noise_to_signal(before, broken, before - 3, counted, ~counted) == pytest.approx(
        np.mean(np.abs(after - before)[counted]) / 3
    )
    every = np.ones(before.shape, dtype=bool)
    assert noise_to_signal(before, before, after, every, every) == 0
    assert math.isnan(noise_to_signal(before, after, before, every, every))
    assert math.isnan(noise_to_signal(before, after, after, ~every, every))


def test_networks_of_equal_value_share_a_rank():
    before = np.array([[1.0], [1.0], [0.0]])
    every = np.ones(before.shape, dtype=bool)
    assert noise_resilience(before, before[[1, 0, 2]], every)[1] == 1
    assert noise_resilience(before, np.array([[1.0], [0.9], [0.0]]), every)[1] == pytest.approx(
        1 / 3
    )


def test_what_does_not_count():
    before, after, _ = draw(1)
    none = np.zeros(before.shape, dtype=bool)
    assert all(map(math.isnan, noise_resilience(before, after, none)))
    assert all(map(math.isnan, adversary_reactivity(before, after, none, True)))
    some = none.copy()
    some[:, :7] = True
    broken = after.copy()
    broken[:, 7:] = np.nan
    assert noise_resilience(before, broken, some) == noise_resilience(
        before[:, :7], after[:, :7], some[:, :7]
    )
    # a network without any such sample is left out, not counted as 0
    some[2] = False
    found = adversary_reactivity(before, broken, some, True)
    others = [0, 1, 3]
    assert found == adversary_reactivity(before[others], after[others], some[others], True)


def test_parameters_get_a_factor_each():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(60, 100), nn.BatchNorm1d(100))
    given_state = copy.deepcopy(model.state_dict())
    other = perturbed_network(model, 0.1, rng(3))
    assert all(torch.equal(value, given_state[name]) for name, value in model.state_dict().items())
    factors = (other[0].weight / model[0].weight).flatten()
    assert factors.mean().item() == pytest.approx(1, abs=0.005)
    assert factors.std().item() == pytest.approx(0.1, abs=0.005)
    assert bool((other[1].weight != model[1].weight).all())
    assert torch.equal(other[1].running_var, model[1].running_var)
    again = perturbed_network(model, 0.1, rng(3))
    assert torch.equal(again[0].weight, other[0].weight)
    assert torch.equal(perturbed_network(model, 0.0, rng())[0].weight, model[0].weight)


def test_inputs_stay_in_their_range():
    x = torch.rand(20, 1, 8, 8, generator=rng()) * 4 - 1
    noise = perturbed_inputs(x, 0.01, rng(1)) - x
    assert 0.0099 < noise.abs().max() <= 0.0101
    assert noise.mean().item() == pytest.approx(0, abs=0.001)
    drowned = perturbed_inputs(x, 5.0, rng(1))
    assert drowned.min() == x.min() and drowned.max() == x.max()
    assert torch.equal(drowned, perturbed_inputs(x, 5.0, rng(1)))
