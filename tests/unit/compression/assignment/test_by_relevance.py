import json

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ecqx.compression.assignment.by_relevance import Window, rank
from ecqx.compression.assignment.grid import Grid, fit_grid
from ecqx.compression.assignment.zero_choice import order_statistics, order_statistics_by_sorting
from tests.unit.compression.assignment.reference import Single, zero_mask_at, zeroing_costs
from tests.unit.compression.assignment.strategies import weights_on_grids


def relevances(weight, seed):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(weight.shape, generator=rng, dtype=weight.dtype) ** 3


@settings(max_examples=150, deadline=None)
@given(
    weights_on_grids(min_size=20),
    st.floats(0.01, 1),
    st.sampled_from(["below", "above"]),
    st.floats(0, 0.5),
    st.integers(0, 1000),
)
def test_sparsity_stays_inside_the_window(case, strength, side, p, seed):
    weight, grid = case
    single = Single(weight, grid)
    lam = strength * single.lambda_max()
    window = Window(side, p)
    ecq_zeros = int((single.assign(lam) == 0).sum())
    relevance = relevances(weight, seed)
    codes = single.assign_by_relevance(relevance, lam, window=window)
    zeros = int((codes == 0).sum())
    fewest, most = map(int, window.counts(torch.tensor(ecq_zeros), weight.numel()))
    alike = weight.numel() - weight.unique().numel()  # cannot be told apart
    assert zeros <= most + alike
    if zeros < fewest:  # allowed only if beta = 1, the largest exponent, zeroes no more
        relative = relevance.abs() / relevance.abs().max()
        cost_zero, cost_other, _ = zeroing_costs(
            weight.double(), grid.levels, single.info, lam, grid.zero
        )
        at_one = int(zero_mask_at(1.0, relative, cost_zero, cost_other, 2.0).sum())
        assert at_one <= fewest + 1


@settings(max_examples=100, deadline=None)
@given(
    weights_on_grids(dtypes=(torch.float64,), min_size=20), st.floats(0.01, 1), st.integers(0, 99)
)
def test_the_zeros_are_those_of_the_admissible_beta_nearest_to_neutral(case, strength, seed):
    """Against a scan over beta that applies the definition of the cost to every weight."""
    weight, grid = case
    single = Single(weight, grid)
    lam = strength * single.lambda_max()
    cost_zero, cost_other, _ = zeroing_costs(weight, grid.levels, single.info, lam, grid.zero)
    assume(bool(cost_other.isfinite().all()))
    relevance = relevances(weight, seed)
    relative = relevance.abs() / relevance.abs().max()
    window = Window("below", 0.1)
    fewest, most = map(int, window.counts((single.assign(lam) == 0).sum(), weight.numel()))
    codes = single.assign_by_relevance(relevance, lam, window=window)
    neutral = min(float(torch.log(torch.tensor(0.5)) / relative.mean().log()), 1.0)
    counts = [
        (abs(beta - neutral), int(zero_mask_at(beta, relative, cost_zero, cost_other, 2.0).sum()))
        for beta in torch.linspace(0, 1, 2001).tolist()
    ]
    admissible = [count for _, count in sorted(counts) if fewest <= count <= most]
    if admissible:
        # The scan is coarse: its nearest admissible beta may miss a few thresholds.
        at_neutral = int(zero_mask_at(neutral, relative, cost_zero, cost_other, 2.0).sum())
        bound = fewest if at_neutral < fewest else most if at_neutral > most else at_neutral
        assert abs(int((codes == 0).sum()) - bound) <= abs(admissible[0] - bound) + 1


@settings(deadline=None)
@given(weights_on_grids(min_size=10), st.floats(0.01, 1), st.integers(0, 99))
def test_weights_that_are_not_zeroed_take_the_best_other_level(case, strength, seed):
    weight, grid = case
    single = Single(weight, grid)
    lam = strength * single.lambda_max()
    levels = grid.levels
    _, cost_other, _ = zeroing_costs(weight.double(), levels, single.info, lam, grid.zero)
    codes = single.assign_by_relevance(relevances(weight, seed), lam, window=Window("below", 0.3))
    kept = codes != 0
    index = (codes - grid.low).long()
    cost = (weight.double() - levels[index]) ** 2 + lam * single.info[index]
    scale = 1e-5 * (grid.step * grid.n_levels) ** 2
    assert torch.allclose(cost[kept], cost_other[kept], rtol=1e-4, atol=scale)


@pytest.mark.parametrize("value", [0.0, 0.3, float("nan"), float("inf")])
def test_relevance_that_ranks_nothing_gives_ecq(value):
    weight = torch.randn(500, generator=torch.Generator().manual_seed(0))
    grid = fit_grid(weight, levels=16)
    single = Single(weight, grid)
    lam = 0.3 * single.lambda_max()
    relevance = torch.full_like(weight, value)
    assert rank([relevance]) == [None]
    codes = single.assign_by_relevance(relevance, lam, window=Window("below", 0.1))
    assert torch.equal(codes, single.assign(lam))


def test_one_nan_among_relevances_gives_ecq():
    weight = torch.randn(500, generator=torch.Generator().manual_seed(0))
    grid = fit_grid(weight, levels=16)
    single = Single(weight, grid)
    relevance = relevances(weight, 0)
    relevance[3] = float("nan")
    codes = single.assign_by_relevance(relevance, 0.01, window=Window("below", 0.1))
    assert torch.equal(codes, single.assign(0.01))


@pytest.mark.parametrize(
    "weight",
    [torch.tensor([0.3]), torch.full((40,), 0.2), torch.zeros(10), torch.randn(50) * 1e-3],
    ids=["one weight", "constant", "all zero", "tiny"],
)
@pytest.mark.parametrize("side", ["below", "above"])
def test_degenerate_tensors(weight, side):
    grid = fit_grid(torch.cat([weight, torch.tensor([1.0, -1.0])]), levels=8)
    relevance = torch.linspace(0, 1, weight.numel())
    codes = Single(weight, grid).assign_by_relevance(relevance, 0.1, window=Window(side, 0.1))
    assert codes.shape == weight.shape
    assert torch.all((codes >= grid.low) & (codes <= grid.high))


def test_relevant_weights_survive_and_irrelevant_ones_go():
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(4000, generator=rng)
    relevance = torch.rand(4000, generator=rng) ** 4
    grid = fit_grid(weight, levels=16)
    single = Single(weight, grid)
    lam = 0.05 * single.lambda_max()
    ecq = single.assign(lam) == 0
    codes = single.assign_by_relevance(relevance, lam, window=Window("below", 0.1))
    regrown = ecq & (codes != 0)
    assert regrown.any()
    assert relevance[regrown].mean() > 2 * relevance[ecq].mean()


def test_oracles(assign_oracle):
    """ECQx assignments of the authors' reference code; its beta is found by trial."""
    for case in json.loads(str(assign_oracle["index"])):
        arrays = {
            key: torch.tensor(assign_oracle[f"{case['case']}/{key}"])
            for key in ("weight", "relevance", "pmf", "ecq_index", "ecqx_index")
        }
        grid = Grid(case["step"], -case["zero"], len(arrays["pmf"]) - 1 - case["zero"])
        single = Single(arrays["weight"], grid, -torch.log2(arrays["pmf"].double()))
        window = Window("below", case["p"])
        codes = single.assign_by_relevance(arrays["relevance"], case["lam"], window=window)
        index = codes - grid.low
        assert (index == arrays["ecqx_index"]).double().mean() >= 0.983, case
        sparsity = float((codes == 0).double().mean())
        ecq = float((arrays["ecq_index"] == case["zero"]).double().mean())
        assert ecq - case["p"] - 1e-9 <= sparsity <= ecq + 1e-9, case


@pytest.mark.parametrize("side", ["below", "above"])
def test_weights_without_relevance_respect_the_window(side):
    """Nine of ten weights have none, as after a step in which ECQ zeroed them."""
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(1000, generator=rng)
    relevance = torch.rand(1000, generator=rng) * (torch.rand(1000, generator=rng) < 0.1)
    grid = fit_grid(weight, levels=16)
    single = Single(weight, grid)
    lam = 0.05 * single.lambda_max()
    ecq = single.assign(lam) == 0
    window = Window(side, 0.1)
    codes = single.assign_by_relevance(relevance, lam, window=window)
    fewest, most = map(int, window.counts(ecq.sum(), 1000))
    assert fewest <= int((codes == 0).sum()) <= most
    if side == "below":  # which of them become zero follows the cost, as in ECQ
        assert (ecq & (codes == 0)).sum() >= 0.9 * ecq.sum()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60_000), st.integers(0, 1000), st.booleans())
def test_order_statistics_against_sorting(n, seed, ties):
    rng = torch.Generator().manual_seed(seed)
    values = torch.randn(n, generator=rng)
    if ties:
        values = values.round()
    values[: n // 10] = torch.inf
    k = torch.randint(1, n + 1, (), generator=rng)
    places = (k, torch.tensor(0), torch.tensor(n + 1))
    expected = [float(values.sort().values[int(k) - 1]), -torch.inf, torch.inf]
    assert order_statistics(values, *places).tolist() == expected
    assert order_statistics_by_sorting(values, *places).tolist() == expected


def test_relevance_of_extreme_sizes_does_not_raise():
    smallest = torch.zeros(1000)
    smallest[0] = torch.finfo(torch.float32).smallest_normal * 2**-20  # a denormal
    nearly_constant = torch.ones(100_000)
    nearly_constant[0] = 1 - 2**-24
    tiny = torch.rand(1000, generator=torch.Generator().manual_seed(0)) * 1e-42
    for ranking in rank([smallest, nearly_constant, tiny]):
        assert ranking is None or -1e4 < ranking.log_mean < 0


def test_windows_count_every_weight():
    zeros, n = torch.tensor(60_000_003), 100_000_000
    assert [int(c) for c in Window("below", 0.0).counts(zeros, n)] == [60_000_003] * 2
    assert [int(c) for c in Window("above", 0.1).counts(zeros, n)] == [60_000_003, 70_000_003]
