"""Optimal brain quantization against an oracle, a slow derivation, and the coder's own bytes."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecqx.compression.artefact import codec
from ecqx.compression.obs import kernels
from ecqx.compression.obs.rounding import damped, round_weight

ORACLE = Path(__file__).parents[3] / "data/obs_oracle.npz"
# What a tensor costs beside its levels: its step, how its contexts start, the end of the coder.
START_BYTES = 6


@pytest.mark.parametrize("case", range(8))
def test_codes_are_those_of_the_oracle(case):
    """Made by explicit elimination from the inverse, column after column, in float64."""
    with np.load(ORACLE) as arrays:
        weight, metric, lam, table, codes = (
            arrays[f"case{case}_{name}"]
            for name in ("weight", "hessian", "lam", "code_length", "codes")
        )
    high = len(table) // 2
    found = round_weight(weight, metric, -high, high, float(lam), table)
    np.testing.assert_array_equal(found, codes)


def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    k = draw(st.integers(1, 150))
    inputs = rng.normal(size=(k, k + 20)) * rng.exponential(size=(k, 1))
    return rng.normal(size=(draw(st.integers(1, 6)), k)) * 2, damped(inputs @ inputs.T / (k + 20))


@settings(deadline=None, max_examples=25)
@given(st.composite(cases)())
def test_without_rate_it_is_the_nearest_level_of_what_is_best_for_the_open_columns(case):
    """The slow derivation: the open columns solve a least squares problem after each step."""
    weight, metric = case
    k = weight.shape[1]
    expected = np.zeros(weight.shape)
    for row, own in enumerate(weight):
        for column in range(k):
            done, rest = slice(0, column), slice(column, k)
            # where the rest of the row is best, given the errors made so far
            error = expected[row, done] - own[done]
            best = own[rest] - np.linalg.solve(metric[rest, rest], metric[rest, done] @ error)
            if abs(abs(best[0]) % 1 - 0.5) < 1e-6:
                return  # too close to call
            expected[row, column] = np.clip(np.rint(best[0]), -3, 3)
    np.testing.assert_array_equal(round_weight(weight, metric, -3, 3), expected)


@settings(deadline=None, max_examples=25)
@given(st.composite(cases)(), st.floats(0.0, 1.0))
def test_what_is_pruned_is_zero_and_the_open_columns_make_up_for_it(case, share):
    """The slow derivation, with the open columns that are kept no different from the others."""
    weight, metric = case
    k = weight.shape[1]
    kept = np.random.default_rng(k).random(weight.shape) < share
    expected = np.zeros(weight.shape)
    for row, own in enumerate(weight):
        for column in range(k):
            done, rest = slice(0, column), slice(column, k)
            error = expected[row, done] - own[done]
            best = own[rest] - np.linalg.solve(metric[rest, rest], metric[rest, done] @ error)
            if abs(abs(best[0]) % 1 - 0.5) < 1e-6:
                return  # too close to call
            expected[row, column] = np.clip(np.rint(best[0]), -3, 3) * kept[row, column]
    np.testing.assert_array_equal(round_weight(weight, metric, -3, 3, kept=kept), expected)
    assert not round_weight(weight, metric, -3, 3, 0.1, kept=kept)[~kept].any()


def test_errors_count_less_than_those_of_nearest_levels():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(60, 400)) @ np.diag(rng.exponential(size=400))
    inputs = rng.normal(size=(60, 60)) @ inputs
    metric = damped(inputs @ inputs.T / 400)
    weight = rng.normal(size=(20, 60)) * 2

    def cost(codes):
        return np.einsum("ri,ij,rj", codes - weight, metric, codes - weight)

    nearest = np.clip(np.rint(weight), -7, 7)
    codes = round_weight(weight, metric, -7, 7)
    assert cost(codes) < 0.7 * cost(nearest)
    # a little more error for a lot less rate
    bits, costs = [], []
    for lam in (0.0, 0.03, 0.1, 0.3):
        codes = round_weight(weight, metric, -7, 7, lam * float(np.diag(metric).mean()))
        bits.append(kernels.coded_bits(codes, kernels.fresh()))
        costs.append(cost(codes))
    assert bits == sorted(bits, reverse=True) and costs == sorted(costs)
    assert bits[-1] < 0.7 * bits[0]


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0, 30.0])
@pytest.mark.parametrize("shape", [(64, 576), (12, 200), (300, 64)])
def test_the_rate_is_that_of_the_coder(scale, shape):
    """Within 2 % of real bytes, rows of zeros and runs of one sign included."""
    rng = np.random.default_rng(1)
    codes = np.rint(scale * rng.laplace(size=shape)).astype(np.int32)
    codes[::7] = 0
    codes[1::7] = np.abs(codes[1::7])
    expected = kernels.coded_bits(codes, kernels.fresh()) / 8 + START_BYTES
    unit = codec.units(codec.encode([("A", codec.Levels(codes, 0))]))[-1]
    assert expected == pytest.approx(unit.end - unit.payload, rel=0.02)


def test_code_lengths_are_those_of_a_prefix_code():
    counts = kernels.fresh()
    rng = np.random.default_rng(2)
    levels = np.rint(3 * rng.laplace(size=500)).astype(np.int32)
    for before, level in itertools.pairwise(levels):
        kernels.count(counts, level, before)
    for before in (-1, 0, 1):
        lengths = [kernels.code_length(counts, level, before) for level in range(-4000, 4001)]
        assert sum(2.0**-length for length in lengths) == pytest.approx(1, abs=1e-3)


def test_inputs_that_are_always_zero_leave_the_nearest_levels():
    weight = np.array([[1.4, -0.6, 2.2]])
    assert round_weight(weight, damped(np.zeros((3, 3))), -3, 3).tolist() == [[1, -1, 2]]
