import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ecqx.compression.assignment.grid import STEP_RULES, fit_grid
from tests.unit.compression.assignment.strategies import weights


@given(weights(), st.integers(3, 256))
def test_levels_are_multiples_of_the_step_around_zero(weight, levels):
    grid = fit_grid(weight, levels=levels)
    assert grid.n_levels == len(grid.levels) == levels
    assert grid.levels[grid.zero] == 0
    assert torch.all(grid.levels.diff() > 0)
    if bool((weight < 0).any()):
        assert abs(grid.high + grid.low) == 1 - levels % 2


@given(weights(min_size=1), st.integers(3, 32))
def test_nearest_is_the_nearest(weight, n_levels):
    grid = fit_grid(weight, levels=n_levels)
    levels = grid.levels
    distance = (weight.double().flatten()[:, None] - levels[None, :]).abs()
    chosen = distance.gather(1, (grid.nearest(weight) - grid.low).long().flatten()[:, None])[:, 0]
    assert torch.all(chosen <= distance.amin(1) + 1e-6 * grid.step)


@pytest.mark.parametrize(("levels", "shorter"), [(3, 1), (4, 1), (5, 2), (6, 2), (15, 7), (16, 7)])
def test_step_follows_the_percentile(levels, shorter):
    weight = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    expected = np.percentile(np.abs(weight.double().numpy()), 99.9) / shorter
    assert fit_grid(weight, levels=levels).step == pytest.approx(expected, rel=1e-6)


def test_maximum_where_the_percentile_is_zero():
    weight = torch.zeros(5000)
    weight[17] = -0.7
    assert fit_grid(weight, levels=8).step == pytest.approx(0.7 / 3, rel=1e-6)


@pytest.mark.parametrize("levels", [7, 8])
def test_only_positive_weights_use_only_positive_levels(levels):
    weight = torch.linspace(0.1, 1.1, 100)
    grid = fit_grid(weight, levels=levels)
    assert (grid.low, grid.high) == (0, levels - 1)
    expected = np.percentile(weight.numpy(), 99.9) / (levels - 1)
    assert grid.step == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_longer_side_goes_to_the_stronger_sign(sign):
    weight = sign * torch.cat([torch.linspace(0.1, 2, 60), torch.linspace(-1, -0.1, 40)])
    grid = fit_grid(weight, levels=8)
    assert (grid.low, grid.high) == ((-3, 4) if sign > 0 else (-4, 3))
    odd = fit_grid(weight, levels=7)
    assert (odd.low, odd.high, odd.step) == (-3, 3, grid.step)


@pytest.mark.parametrize("rule", STEP_RULES)
def test_all_zero_weights_have_a_grid(rule):
    grid = fit_grid(torch.zeros(3, 3), levels=16, step_rule=rule)
    assert grid.step > 0
    assert torch.equal(grid.nearest(torch.zeros(3, 3)), torch.zeros(3, 3, dtype=torch.int32))


@pytest.mark.parametrize("levels", [2, 257, 0])
def test_levels_out_of_range(levels):
    with pytest.raises(ValueError, match=f"levels: {levels} is out of range, expected 3 to 256"):
        fit_grid(torch.randn(10), levels=levels)


def test_an_unknown_rule():
    with pytest.raises(ValueError, match="step_rule: 'largest' is unknown, expected one of perc"):
        fit_grid(torch.randn(10), levels=4, step_rule="largest")


@pytest.mark.parametrize("bad", [torch.tensor([1.0, float("nan")]), torch.empty(0)])
def test_unusable_weights(bad):
    with pytest.raises(ValueError, match="empty or not finite"):
        fit_grid(bad, levels=16)
