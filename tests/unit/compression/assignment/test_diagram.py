import json

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from ecqx.compression.assignment import diagram
from ecqx.compression.assignment.diagram import (
    Bins,
    Diagram,
    Levels,
    _look_up,
    assign,
    lambda_max,
    place,
    tensor_scale,
)
from ecqx.compression.assignment.grid import Grid, fit_grid
from tests.unit.compression.assignment.reference import (
    Single,
    brute_force_assign,
    smallest_lambda_that_zeroes,
)
from tests.unit.compression.assignment.strategies import weights, weights_on_grids


@settings(max_examples=200)
@given(weights_on_grids(), st.floats(0, 1.2))
def test_assignment_costs_no_more_than_brute_force(case, strength):
    weight, grid = case
    single = Single(weight, grid)
    lam = strength * single.lambda_max()
    index = (single.assign(lam) - grid.low).long()
    expected, cost = brute_force_assign(weight.double(), grid.levels, single.info, lam)
    chosen = cost.gather(1, index.flatten()[:, None])[:, 0]
    # The boundaries are rounded to the weights' precision, so only ties may fall differently.
    scale = grid.step**2 * grid.n_levels**2
    tolerance = scale * (1e-6 if weight.dtype == torch.float32 else 1e-12)
    assert torch.all(chosen <= cost.amin(1) + tolerance)
    if weight.dtype == torch.float64:
        # Where no two levels cost the same, but for rounding in the cost itself, nor may ties.
        cheapest, second = cost.topk(2, largest=False).values.T
        clear = second - cheapest > 1e-14 * (scale + cheapest)
        assert torch.equal(index.flatten()[clear], expected.flatten()[clear])


@settings(deadline=None)
@given(weights_on_grids(), st.floats(0, 1))
def test_counts_are_those_of_the_nearest_levels(case, strength):
    weight, grid = case
    ratio = weight.double() / grid.step
    # a weight in the middle between two levels may count for either
    assume(((ratio % 1) - 0.5).abs().min() >= 1e-5)
    expected = torch.bincount((grid.nearest(weight) - grid.low).long(), minlength=grid.n_levels)
    share = expected.double() / weight.numel()
    info = Single(weight, grid).info
    zero = max(float(share[grid.zero]), 0.5)
    assert 2.0 ** -float(info[grid.zero]) == pytest.approx(zero)
    others = torch.arange(grid.n_levels) != grid.zero
    assert torch.equal(info.isinf() & others, (expected == 0) & others)


class Operations(TorchDispatchMode):
    """Names of the operations inside, and the elements of the largest int64 Tensor they make."""

    def __init__(self):
        super().__init__()
        self.names, self.most_int64 = set(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, (tuple, list)) else [made]:
            if torch.is_tensor(tensor) and tensor.dtype == torch.int64:
                self.most_int64 = max(self.most_int64, tensor.numel())
        return made


@pytest.mark.parametrize("n_levels", [4, 16, 255, 256])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_other_devices_count_and_assign_as_the_cpu_does(monkeypatch, n_levels, dtype):
    """The tensor operations that GPUs are given, on the CPU."""
    monkeypatch.setattr(diagram, "_SORTED_AT_ONCE", 7_000)
    rng = torch.Generator().manual_seed(n_levels)
    grid = Grid(0.25, -(n_levels // 2), n_levels - 1 - n_levels // 2)
    # some beyond the ends of the grid, none in the middle between two levels
    code = torch.randint(grid.low - 9, grid.high + 10, (30_001,), generator=rng)
    code = torch.where(torch.rand(30_001, generator=rng) < 0.6, 0, code)  # most are zero
    weight = ((code + 0.9 * (torch.rand(30_001, generator=rng) - 0.5)) * grid.step).to(dtype)
    found = []
    for loops in (True, False):
        monkeypatch.setattr(diagram.kernels, "serve", lambda tensor, loops=loops: loops)
        with Operations() as operations:
            placed = place(weight, grid)
        # what is serial on a GPU, waits for the host, or takes eight bytes for each weight
        assert not operations.names & {"scatter_add_", "bincount", "_local_scalar_dense"}
        assert operations.most_int64 <= 7_000
        levels = Levels.of([placed])
        lam = 0.1 * lambda_max([placed], levels)
        found.append((placed.counts, levels.information, *assign([placed], levels, lam)))
        assert (placed.index is None) != loops
    for own, other in zip(*found, strict=True):
        assert own.dtype == other.dtype and torch.equal(own, other)
    assert int(found[0][0].sum()) == len(weight)


def test_weights_that_are_all_alike_are_counted_on_other_devices(monkeypatch):
    monkeypatch.setattr(diagram.kernels, "serve", lambda tensor: False)
    for value, expected in ((-9.0, [5, 0, 0, 0]), (0.0, [0, 0, 5, 0]), (9.0, [0, 0, 0, 5])):
        assert place(torch.full((5,), value), Grid(1.0, -2, 1)).counts.tolist() == expected


@pytest.mark.parametrize("n_levels", [4, 8, 16, 32])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_positions_equal_a_binary_search(n_levels, dtype):
    """Large tensors, boundaries anywhere: on weights, at infinity, coinciding, crowded."""
    for trial in range(40):
        rng = torch.Generator().manual_seed(trial)
        weight = torch.randn(30_000 + trial, generator=rng, dtype=torch.float64).to(dtype)
        grid = Grid(float(torch.tensor(0.3)), -(n_levels // 2), n_levels - 1 - n_levels // 2)
        bounds = torch.randn(n_levels - 1, generator=rng, dtype=torch.float64).sort().values
        bounds = bounds * (0.001 if trial % 5 == 4 else 2.0)
        if trial % 3 == 0:
            bounds[0] = -torch.inf
        if trial % 4 == 0:
            bounds[-1] = torch.inf
        if trial % 2 == 0:
            bounds[1] = bounds[0]
        rounded = bounds.to(dtype)
        finite = rounded[rounded.isfinite()]
        weight[: len(finite)] = finite
        weight[len(finite) : 2 * len(finite)] = torch.nextafter(finite, finite + 1)
        placed = place(weight, grid)
        diagram = Diagram(placed, bounds)
        expected = torch.bucketize(weight, rounded)
        found = _look_up(placed, diagram) - grid.low
        assert torch.equal(found.long(), expected), trial
        # a bin without a boundary decides alone
        index = placed.index.astype(int)
        whole = torch.from_numpy(diagram.below[index] == diagram.below[index + 1])
        below = torch.from_numpy(diagram.below[index]).long()
        assert torch.equal(below[whole], expected[whole]), trial


def test_bins_lie_where_they_say():
    rng = torch.Generator().manual_seed(0)
    for dtype in (torch.float32, torch.float64):
        for grid in (Grid(0.3, -8, 7), Grid(1e-4, 0, 3), Grid(7.0, -3, 4)):
            weight = torch.randn(100_000, generator=rng, dtype=dtype) * grid.step * grid.n_levels
            bins = Bins.of(grid)
            index = bins.place(weight)
            lower = bins.first + (index - 1e-3) * bins.width
            upper = bins.first + (index + 1 + 1e-3) * bins.width
            array = weight.numpy()
            assert np.all((lower <= array) | (index == 0))
            assert np.all((array <= upper) | (index == bins.number - 1))


@given(st.lists(weights(min_size=5), min_size=1, max_size=4), st.floats(0, 1))
def test_tensors_side_by_side_are_as_each_on_its_own(tensors, strength):
    grids = [fit_grid(weight, levels=8) for weight in tensors]
    placed = [place(*pair) for pair in zip(tensors, grids, strict=True)]
    levels = Levels.of(placed)
    lam = strength * lambda_max(placed, levels)
    together = assign(placed, levels, lam)
    for t, (weight, grid) in enumerate(zip(tensors, grids, strict=True)):
        single = Single(weight, grid)
        assert float(lambda_max(placed, levels)[t]) == float(single.lambda_max())
        assert torch.equal(together[t], single.assign(lam[t]).flatten())


@given(weights_on_grids(), st.floats(0, 1))
def test_boundaries_do_not_decrease(case, strength):
    single = Single(*case)
    bounds = single.boundaries(strength * single.lambda_max())
    assert torch.all(bounds[1:] >= bounds[:-1])


@given(weights_on_grids())
def test_unused_levels_are_never_assigned(case):
    weight, grid = case
    single = Single(weight, grid)
    used = set((single.assign(0.0) - grid.low).tolist())
    assert all(single.info[c].isfinite() for c in used)


@given(weights_on_grids())
def test_zero_is_never_dearer_than_another_level(case):
    weight, grid = case
    info = Single(weight, grid).info
    assert info[grid.zero] == info.min()
    assert info[grid.zero] <= 1 + 1e-12
    assert torch.exp2(-info).sum() == pytest.approx(1) or (info[grid.zero] == 1)


@settings(max_examples=60, deadline=None)
@given(weights_on_grids(dtypes=(torch.float64,), max_size=100))
def test_lambda_max_is_the_smallest_that_zeroes_everything(case):
    weight, grid = case
    single = Single(weight, grid)
    info = single.info
    # two levels that cost alike: no lambda can decide
    assume(((info - info[grid.zero]).abs() < 1e-9).sum() <= 1)
    expected = smallest_lambda_that_zeroes(weight, grid.levels, info, grid.zero)
    assert float(single.lambda_max()) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(weights(min_size=50, dtypes=(torch.float64,)), st.integers(2, 5))
def test_sparsity_grows_with_lambda(weight, bits):
    single = Single(weight, fit_grid(weight, levels=2**bits))
    top = single.lambda_max()
    zeros = [int((single.assign(s * top) == 0).sum()) for s in (0, 0.1, 0.5, 1.0001)]
    assert zeros == sorted(zeros)


def test_levels_that_cost_alike_do_not_blow_up_the_constraint():
    """Zero with a third, one other level with the rest: both cost one bit, up to rounding."""
    weight = torch.tensor([9.9740e-05, 1.0134e-04, -1.2185e-07], dtype=torch.float64)
    assert float(Single(weight, Grid(0.00010134038893738762, -1, 2)).lambda_max()) == 0


def test_a_share_below_one_half_is_raised():
    weight = torch.tensor([-1.0, -1.0, 0.0, 1.0])
    info = Single(weight, Grid(1.0, -2, 1)).info
    # zero: 1/4 -> 1/2; the others share the rest in proportion 2 : 1; nothing is nearest to -2
    expected = -torch.log2(torch.tensor([0.0, 1 / 3, 1 / 2, 1 / 6], dtype=torch.float64))
    assert torch.allclose(info, expected)


def test_weights_that_are_not_numbers_do_not_raise():
    weight = torch.full((40_000,), float("nan"))
    single = Single(weight, Grid(0.1, -7, 8))
    assert single.assign(0.1).shape == (40_000,)
    weight[::2] = torch.inf
    assert Single(weight, Grid(0.1, -7, 8)).assign(0.1).shape == (40_000,)


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
        grid = fit_grid(weight, levels=2 ** case["bits"])
        assert grid.zero == case["zero"]
        assert grid.step == pytest.approx(case["step"], rel=1e-5)
        grid = Grid(case["step"], grid.low, grid.high)
        index = Single(weight, grid, info).assign(case["lam"]) - grid.low
        expected = torch.tensor(assign_oracle[f"{case['case']}/ecq_index"])
        assert (index == expected).double().mean() >= 0.9999, case
