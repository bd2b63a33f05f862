import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecqx.compression.assignment import least_squares
from ecqx.compression.assignment.grid import fit_grid
from ecqx.compression.assignment.least_squares import least_squares_step
from tests.unit.compression.assignment.strategies import weights


def errors(weight, steps, low, high):
    codes = np.clip(np.round(weight[None, :] / steps[:, None]), low, high)
    return np.square(codes * steps[:, None] - weight[None, :]).sum(1)


@settings(max_examples=150, deadline=None)
@given(weights(max_size=2000, dtypes=(torch.float64,)), st.integers(3, 256))
def test_no_other_step_is_closer_to_the_weights(weight, levels):
    if not weight.any():
        return
    values = weight.numpy()
    grid = fit_grid(weight, levels=levels, step_rule="least_squares")
    found = errors(values, np.array([grid.step]), grid.low, grid.high)[0]
    percentile = fit_grid(weight, levels=levels)
    assert (percentile.low, percentile.high) == (grid.low, grid.high)
    # the step is a float32: its rounding moves every level by 6e-8 of it
    rounding = 1e-6 * np.abs(values).max() * np.sqrt(len(values)) * np.sqrt(found)
    rounding += 1e-12 * np.square(values).sum()
    assert found <= errors(values, np.array([percentile.step]), grid.low, grid.high)[0] + rounding
    largest = np.abs(values).max()
    others = np.geomspace(largest / (4 * levels), 2 * largest, 4000)
    assert found <= errors(values, others, grid.low, grid.high).min() + rounding


@pytest.mark.parametrize("levels", [3, 4, 7, 16])
def test_a_grid_that_holds_the_weights_is_found(levels):
    low, high = -((levels - 1) // 2), levels // 2
    codes = torch.arange(low, high + 1).repeat(500).double()
    noise = 1e-3 * torch.randn(len(codes), generator=torch.Generator().manual_seed(0)).double()
    assert least_squares_step((0.3 * codes + noise).numpy(), low, high) == pytest.approx(0.3, 1e-3)


def test_few_weights_have_the_exact_minimum():
    # both at k = 1; at k = 2 and 1: (2 * 5 + 3) / (4 + 1)
    assert least_squares_step(np.array([5.0, 3.0]), -1, 1) == pytest.approx(4.0)
    assert least_squares_step(np.array([5.0, 3.0]), -1, 2) == pytest.approx(2.6)


@pytest.mark.parametrize("levels", [3, 4, 9, 16, 31, 256])
@pytest.mark.parametrize("power", [1, 3])
def test_of_many_weights_the_minimum_is_found_as_well(levels, power, monkeypatch):
    weight = torch.randn(20_000, generator=torch.Generator().manual_seed(levels)).double() ** power
    monkeypatch.setattr(least_squares, "_MOVES", 1 << 22)
    exact = fit_grid(weight, levels=levels, step_rule="least_squares")
    monkeypatch.setattr(least_squares, "_MOVES", 0)
    other = fit_grid(weight, levels=levels, step_rule="least_squares")
    steps = np.array([exact.step, other.step])
    found = errors(weight.numpy(), steps, exact.low, exact.high)
    assert found[1] <= (1 + 1e-3) * found[0]


def test_an_outlier_is_clipped_where_the_others_weigh_more():
    many = np.tile([-1.0, 1.0], 5000)
    assert least_squares_step(np.append(many, 20.0), -1, 1) == pytest.approx(10_020 / 10_001)
    assert least_squares_step(np.append(many, 2000.0), -1, 1) == pytest.approx(2000.0)
