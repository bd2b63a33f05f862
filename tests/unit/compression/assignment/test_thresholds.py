"""Bracketed thresholds against those of all weights: the same codes, bit for bit."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ecqx.compression.assignment import kernels
from ecqx.compression.assignment.by_relevance import Window, assign_by_relevance, rank
from ecqx.compression.assignment.diagram import (
    Diagram,
    Levels,
    assign,
    boundaries,
    lambda_max,
    place,
)
from ecqx.compression.assignment.grid import fit_grid
from ecqx.compression.assignment.thresholds import decide, decide_within, sampled, undecided
from ecqx.compression.assignment.zero_choice import ZeroChoice

EVERYTHING = (-float("inf"), float("inf"))


def choice_of(
    weight, relevance, *, bits=4, strength=0.1, fewest=0.5, most=0.6, rho=2.0, neutral=0.2
):
    placed = place(weight, fit_grid(weight, levels=2**bits))
    levels = Levels.of([placed])
    lam = strength * lambda_max([placed], levels)
    others = levels.without_zero()
    price = torch.where(levels.information.isfinite(), lam * levels.information, torch.inf)[0]
    counts = (torch.tensor(int(share * len(weight))) for share in (fewest, most))
    diagram = Diagram(placed, boundaries(others, lam)[0])
    (ranking,) = rank([relevance])
    return ZeroChoice(placed, diagram, price, ranking.relative, rho, neutral, *counts)


def tensor(shape, size, rng, dtype=torch.float32):
    """Weights and relevance as they occur: relevance of few decades or of many, or mostly none."""
    weight = torch.randn(size, generator=rng, dtype=torch.float64)
    relevance = torch.randn(size, generator=rng, dtype=torch.float64) * weight
    if shape == "heavy":
        weight, relevance = weight**3, relevance**9
    elif shape == "sparse":
        relevance = relevance * (torch.rand(size, generator=rng) < 0.2)
    elif shape == "tiny":
        relevance = relevance * 1e-35
    elif shape == "positive":
        weight = weight.abs()
    return (0.05 * weight).to(dtype), relevance.to(dtype)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["normal", "heavy", "sparse", "tiny", "positive"]),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 10_000),
    st.integers(2, 5),
    st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]),
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    st.sampled_from([1.0, 1.3, 2.0, 50.0]),
    st.floats(0, 1),
)
@example("positive", torch.float32, 0, 2, 0.01, [0.0, 0.0], 50.0, 1.0)  # no zero is admissible
def test_brackets_do_not_change_the_codes(shape, dtype, seed, bits, strength, ends, rho, neutral):
    rng = torch.Generator().manual_seed(seed)
    weight, relevance = tensor(shape, 10_000 + seed, rng, dtype)
    choice = choice_of(
        weight, relevance, bits=bits, strength=strength, fewest=ends[0], most=ends[1], rho=rho,
        neutral=neutral,
    )  # fmt: skip
    codes, beta = choice.of_all()
    beta = float(beta)
    for guess in (None, beta, 1.01 * beta, 1e-9, 0.5, 1e9):
        found = decide(choice, guess)
        assert torch.equal(found[0], codes)
        assert found[1] == beta
    for bracket in (EVERYTHING, sampled(choice), (beta, beta), (0.0, 1.0), (beta - 1, beta + 1)):
        found = decide_within(choice, bracket)
        if found is None:
            assert not bracket[0] <= beta <= bracket[1]
        else:
            assert torch.equal(found[0], codes)
            assert found[1] == beta


def test_a_sample_rarely_misses_and_leaves_little_to_compute():
    hits, computed = 0, []
    for seed in range(40):
        rng = torch.Generator().manual_seed(seed)
        choice = choice_of(*tensor("normal", 100_000, rng))
        bracket = sampled(choice)
        hits += decide_within(choice, bracket) is not None
        places, _ = undecided(choice, bracket, torch.empty(100_000, dtype=torch.int32))
        computed.append(len(places) / 100_000)
    assert hits >= 38
    assert max(computed) < 0.2


def test_brackets_that_miss_are_noticed():
    rng = torch.Generator().manual_seed(0)
    choice = choice_of(*tensor("normal", 50_000, rng), neutral=1.0)
    beta = float(choice.of_all()[1])
    assert 0 < beta < 1
    for bracket in ((beta * 1.01, beta * 2), (0.0, beta * 0.99)):
        assert decide_within(choice, bracket) is None


def test_compiled_thresholds_are_those_of_tensor_operations():
    """The loop for the CPU against the operations that CUDA runs."""
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-9)):
        rng = torch.Generator().manual_seed(0)
        choice = choice_of(*tensor("sparse", 30_000, rng, dtype))
        threshold, code = choice.thresholds()
        expected, expected_code = choice._all_thresholds(choice.price.to(dtype))
        assert torch.equal(code, expected_code)
        assert torch.allclose(threshold, expected, rtol=tolerance, atol=tolerance)


def test_large_tensors_side_by_side():
    rng = torch.Generator().manual_seed(0)
    pairs = [tensor("normal", size, rng) for size in (30_000, 500, 20_000)]
    placed = [place(weight, fit_grid(weight, levels=16)) for weight, _ in pairs]
    rankings = rank([relevance for _, relevance in pairs])
    levels = Levels.of(placed)
    lam = 0.1 * lambda_max(placed, levels)
    window = Window("below", 0.1)
    together, betas = assign_by_relevance(placed, rankings, levels, lam, window=window)
    again, _ = assign_by_relevance(placed, rankings, levels, lam, window=window, guesses=betas)
    assert betas[1] is None  # a small tensor
    for t in range(3):
        own = Levels(
            *(part[t : t + 1] for part in (levels.values, levels.zero, levels.information))
        )
        (alone,), _ = assign_by_relevance(
            [placed[t]], [rankings[t]], own, lam[t : t + 1], window=window
        )
        assert torch.equal(together[t], alone)
        assert torch.equal(again[t], alone)


def test_weights_that_are_not_numbers_do_not_raise():
    relevance = torch.rand(40_000, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(40_000, generator=torch.Generator().manual_seed(1))
    grid = fit_grid(weight, levels=16)
    weight[::3] = torch.nan
    placed = [place(weight, grid)]
    levels = Levels.of(placed)
    (codes,), _ = assign_by_relevance(
        placed, rank([relevance]), levels, torch.tensor([0.01]), window=Window("below", 0.1)
    )
    assert codes.shape == (40_000,)
    assert np.isin(codes.numpy(), grid.codes().numpy()).all()


@pytest.mark.parametrize("side", ["below", "above"])
def test_tensor_operations_do_what_the_compiled_loops_do(monkeypatch, side):
    """What other devices than the CPU run, run on the CPU."""
    rng = torch.Generator().manual_seed(0)
    pairs = [tensor("sparse", size, rng, torch.float64) for size in (30_000, 500, 20_000)]
    found = {}
    for compiled in (True, False):
        monkeypatch.setattr(kernels, "serve", lambda tensor, compiled=compiled: compiled)
        placed = [place(weight, fit_grid(weight, levels=16)) for weight, _ in pairs]
        levels = Levels.of(placed)
        lam = 0.1 * lambda_max(placed, levels)
        rankings = rank([relevance for _, relevance in pairs])
        options = {"window": Window(side, 0.1)}
        codes, _ = assign_by_relevance(placed, rankings, levels, lam, **options)
        found[compiled] = [*assign(placed, levels, lam), *codes]
    for loop, operations in zip(found[True], found[False], strict=True):
        assert (loop == operations).double().mean() > 0.9999  # rounding of logarithms
        assert abs(int((loop == 0).sum() - (operations == 0).sum())) <= 1
