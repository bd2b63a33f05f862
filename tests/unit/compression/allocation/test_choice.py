"""The choice against all there are."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecqx.compression.allocation.choice import choose


@st.composite
def problems(draw):
    layers, candidates = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    sizes = draw(st.lists(st.integers(0, 40), min_size=layers * candidates,
                          max_size=layers * candidates))  # fmt: skip
    # few values: many ties
    values = st.sampled_from([-1.5, 0.0, 0.25, 0.5, 1.0, 3.0, np.inf])
    costs = draw(st.lists(values, min_size=layers * candidates, max_size=layers * candidates))
    shape = (layers, candidates)
    return np.reshape(costs, shape), np.reshape(sizes, shape), draw(st.integers(-5, 170))


def brute_force(costs, sizes, budget):
    """Least cost, and the fewest bytes for it, of all choices that keep the budget."""
    rows = np.arange(len(costs))
    feasible = [
        (costs[rows, choice].sum(), sizes[rows, choice].sum())
        for choice in itertools.product(range(costs.shape[1]), repeat=len(costs))
        if sizes[rows, choice].sum() <= budget
    ]
    return min((pair for pair in feasible if np.isfinite(pair[0])), default=None)


@given(problems())
def test_it_is_the_best_of_all(problem):
    costs, sizes, budget = problem
    choice, best = choose(*problem), brute_force(*problem)
    if best is None:
        assert choice is None
        return
    rows = np.arange(len(costs))
    assert (costs[rows, choice].sum(), sizes[rows, choice].sum()) == best


@given(problems(), st.integers(1, 30))
def test_in_coarse_steps_it_keeps_the_budget_and_leaves_little(problem, most_states):
    costs, sizes, budget = problem
    choice = choose(*problem, most_states)
    if choice is None:
        # but for candidates that are out of the question, the smallest always fit
        assert not np.isfinite(costs).all() or sizes.min(axis=1).sum() > budget
        return
    rows = np.arange(len(costs))
    assert sizes[rows, choice].sum() <= budget
    spare = sizes.max(axis=1).sum() - sizes.min(axis=1).sum()
    unit = -(-(min(budget - sizes.min(axis=1).sum(), spare) + 1) // most_states)
    exact = brute_force(costs, sizes, budget - (len(costs) + 1) * (unit - 1))
    assert exact is None or costs[rows, choice].sum() <= exact[0]


def test_many_bytes():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 10**8, (30, 8))
    costs = 1e8 / sizes
    budget = int(sizes.mean() * 30)
    choice = choose(costs, sizes, budget, 1 << 14)
    assert 0.99 * budget < sizes[np.arange(30), choice].sum() <= budget


@pytest.mark.parametrize("budget", [0, 7])
def test_without_layers_there_is_nothing_to_choose(budget):
    assert choose(np.zeros((0, 8)), np.zeros((0, 8), int), budget).size == 0
