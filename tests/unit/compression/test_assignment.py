import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecqx.compression.assignment import (
    assign,
    boundaries,
    information,
    lambda_max,
    locate,
    tensor_scale,
)
from ecqx.compression.grid import Grid, fit_grid
from tests.unit.compression.reference import brute_force_assign, smallest_lambda_that_zeroes
from tests.unit.compression.strategies import weights, weights_on_grids


@settings(max_examples=200)
@given(weights_on_grids(), st.floats(0, 1.2))
def test_assignment_costs_no_more_than_brute_force(case, strength):
    weight, grid = case
    info = information(weight, grid)
    lam = strength * lambda_max(weight, grid, info)
    index = (assign(weight, grid, info, lam) - grid.low).long()
    expected, cost = brute_force_assign(weight.double(), grid.levels(weight).double(), info, lam)
    chosen = cost.gather(1, index.flatten()[:, None])[:, 0]
    # The boundaries are rounded to the weights' precision, so only ties may fall differently.
    scale = grid.step**2 * grid.n_levels**2
    tolerance = scale * (1e-6 if weight.dtype == torch.float32 else 1e-12)
    assert torch.all(chosen <= cost.amin(1) + tolerance)
    if weight.dtype == torch.float64:
        agree = (index == expected).double().mean()
        assert agree >= 0.9999 or (chosen - cost.amin(1)).max() <= tolerance


@given(weights_on_grids(), st.floats(0, 1))
def test_boundaries_equal_a_binary_search(case, strength):
    weight, grid = case
    info = information(weight, grid)
    lam = strength * lambda_max(weight, grid, info)
    bounds = boundaries(grid.levels(weight).double(), info, lam).to(weight.dtype)
    assert torch.all(bounds[1:] >= bounds[:-1])
    assert torch.equal(locate(weight, bounds).long(), torch.bucketize(weight, bounds))


@given(weights_on_grids())
def test_unused_levels_are_never_assigned(case):
    weight, grid = case
    info = information(weight, grid)
    used = set((assign(weight, grid, info, 0.0) - grid.low).tolist())
    assert all(info[c].isfinite() for c in used)


@given(weights_on_grids())
def test_zero_is_never_dearer_than_another_level(case):
    weight, grid = case
    info = information(weight, grid)
    assert info[grid.zero] == info.min()
    assert info[grid.zero] <= 1 + 1e-12
    assert torch.exp2(-info).sum() == pytest.approx(1) or (info[grid.zero] == 1)


@settings(max_examples=60, deadline=None)
@given(weights_on_grids(dtypes=(torch.float64,), max_size=100))
def test_lambda_max_is_the_smallest_that_zeroes_everything(case):
    weight, grid = case
    info = information(weight, grid)
    if (info.isfinite() & (info == info[grid.zero])).sum() > 1:
        return  # two levels share all weights equally: no lambda can decide
    expected = smallest_lambda_that_zeroes(weight, grid.levels(weight), info, grid.zero)
    assert float(lambda_max(weight, grid, info)) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(weights(min_size=50, dtypes=(torch.float64,)), st.integers(2, 5))
def test_sparsity_grows_with_lambda(weight, bits):
    grid = fit_grid(weight, bits)
    info = information(weight, grid)
    top = lambda_max(weight, grid, info)
    zeros = [int((assign(weight, grid, info, s * top) == 0).sum()) for s in (0, 0.1, 0.5, 1.0001)]
    assert zeros == sorted(zeros)


def test_a_share_below_one_half_is_raised():
    weight = torch.tensor([-1.0, -1.0, 0.0, 1.0])
    info = information(weight, Grid(1.0, -2, 1))
    # zero: 1/4 -> 1/2; the others share the rest in proportion 2 : 1; nothing is nearest to -2
    expected = -torch.log2(torch.tensor([0.0, 1 / 3, 1 / 2, 1 / 6], dtype=torch.float64))
    assert torch.allclose(info, expected)


def test_tensor_scale_is_one_for_the_largest():
    assert tensor_scale(100, 100) == pytest.approx(1)
    assert tensor_scale(0, 100) == pytest.approx(0.05 / 1.05)


def test_oracles(assign_oracle):
    """Assignments computed by the authors' reference code, at its effective lambda."""
    cases = json.loads(str(assign_oracle["index"]))
    assert len(cases) == 36
    for case in cases:
        weight = torch.tensor(assign_oracle[f"{case['case']}/weight"])
        info = -torch.log2(torch.tensor(assign_oracle[f"{case['case']}/pmf"]).double())
        grid = fit_grid(weight, case["bits"])
        assert grid.zero == case["zero"]
        assert grid.step == pytest.approx(case["step"], rel=1e-5)
        grid = Grid(case["step"], grid.low, grid.high)
        index = assign(weight, grid, info, case["lam"]) - grid.low
        expected = torch.tensor(assign_oracle[f"{case['case']}/ecq_index"])
        assert (index == expected).double().mean() >= 0.9999, case
