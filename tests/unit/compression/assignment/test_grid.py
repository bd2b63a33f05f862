import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ecqx.compression.assignment.grid import fit_grid
from tests.unit.compression.assignment.strategies import weights


@given(weights(), st.integers(2, 5))
def test_levels_are_multiples_of_the_step_around_zero(weight, bits):
    grid = fit_grid(weight, bits)
    levels = grid.levels
    assert grid.n_levels == 2**bits
    assert levels[grid.zero] == 0
    assert torch.all(levels.diff() > 0)


@given(weights(min_size=1), st.integers(2, 5))
def test_nearest_is_the_nearest(weight, bits):
    grid = fit_grid(weight, bits)
    levels = grid.levels
    distance = (weight.double().flatten()[:, None] - levels[None, :]).abs()
    chosen = distance.gather(1, (grid.nearest(weight) - grid.low).long().flatten()[:, None])[:, 0]
    assert torch.all(chosen <= distance.amin(1) + 1e-6 * grid.step)


def test_step_follows_the_percentile():
    weight = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    expected = np.percentile(np.abs(weight.double().numpy()), 99.9) / 7
    assert fit_grid(weight, 4).step == pytest.approx(expected, rel=1e-6)


def test_maximum_where_the_percentile_is_zero():
    weight = torch.zeros(5000)
    weight[17] = -0.7
    assert fit_grid(weight, 3).step == pytest.approx(0.7 / 3, rel=1e-6)


def test_only_positive_weights_use_only_positive_levels():
    grid = fit_grid(torch.rand(100) + 0.1, 3)
    assert (grid.low, grid.high) == (0, 7)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_longer_side_goes_to_the_stronger_sign(sign):
    weight = sign * torch.cat([torch.linspace(0.1, 2, 60), torch.linspace(-1, -0.1, 40)])
    grid = fit_grid(weight, 3)
    assert (grid.low, grid.high) == ((-3, 4) if sign > 0 else (-4, 3))


def test_all_zero_weights_have_a_grid():
    grid = fit_grid(torch.zeros(3, 3), 4)
    assert grid.step > 0
    assert torch.equal(grid.nearest(torch.zeros(3, 3)), torch.zeros(3, 3, dtype=torch.int32))


@pytest.mark.parametrize("bits", [1, 9, 0])
def test_bits_out_of_range(bits):
    with pytest.raises(ValueError, match=f"bits: {bits} is out of range, expected 2 to 8"):
        fit_grid(torch.randn(10), bits)


@pytest.mark.parametrize("bad", [torch.tensor([1.0, float("nan")]), torch.empty(0)])
def test_unusable_weights(bad):
    with pytest.raises(ValueError, match="empty or not finite"):
        fit_grid(bad, 4)
