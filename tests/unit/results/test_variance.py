"""Variance components against a slow derivation, statsmodels and simulated data."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.regression.mixed_linear_model import MixedLM

from ecqx.results import statistics

NAMES = (
    "pretraining", "compression", "inputs", "inputs_by_pretraining", "inputs_by_compression",
)  # fmt: skip


def simulated(rng, shape, variances, mean=0.0):
    a, b, n = shape
    sizes = ((a, 1, 1), (a, b, 1), (1, 1, n), (a, 1, n), (a, b, n))
    effects = (rng.normal(0, v**0.5, size) for v, size in zip(variances, sizes, strict=True))
    return mean + sum(effects)


def by_projections(values):
    """Components by sums of squares as projections, their expectations as traces.

    Nothing is known here of degrees of freedom or of formulas for a balanced design.
    """
    a, b, n = values.shape
    network, run, item = (grid.ravel() for grid in np.indices(values.shape))
    cell = [network, network * b + run, item, network * n + item, np.arange(a * b * n)]
    indicators = [np.equal.outer(labels, np.unique(labels)).astype(float) for labels in cell]
    one = np.ones((a * b * n, 1))
    before = [[one], [indicators[0]], [one], [indicators[0], indicators[2]],
              [indicators[1], indicators[3]]]  # fmt: skip

    def onto(parts):
        matrix = np.concatenate(parts, axis=1)
        return matrix @ np.linalg.pinv(matrix)

    y = values.ravel()
    squares, expected = [], []
    for own, others in zip(indicators, before, strict=True):
        extra = onto([*others, own]) - onto(others)
        squares.append(y @ extra @ y)
        expected.append([np.trace(extra @ z @ z.T) for z in indicators])
    return dict(zip(NAMES, np.linalg.solve(expected, squares), strict=True))


@pytest.mark.parametrize("shape", [(2, 2, 2), (5, 3, 4), (3, 4, 6)])
def test_components_are_those_of_a_slow_derivation(shape):
    rng = np.random.default_rng(7)
    seen = set()
    for _ in range(5):
        values = simulated(rng, shape, (2.0, 1.0, 3.0, 0.5, 1.0), mean=40.0)
        found, expected = statistics.variance_components(values), by_projections(values)
        assert found.mean == pytest.approx(values.mean())
        assert found.negative == tuple(name for name in NAMES if expected[name] < 0)
        for name in NAMES:
            assert getattr(found, name) == pytest.approx(max(0, expected[name]), abs=1e-9)
        interactions = expected["inputs_by_pretraining"] + expected["inputs_by_compression"]
        parts = expected["pretraining"], expected["compression"], interactions / shape[2]
        assert found.run_mean == pytest.approx(sum(parts))
        if not {"pretraining", "compression", "inputs_by_pretraining"} & set(found.negative):
            assert sum(found.between_runs.values()) == pytest.approx(found.run_mean)
        seen.update(found.negative)
    assert "inputs_by_compression" not in seen  # a mean square


def test_of_runs_alone_they_are_those_of_restricted_likelihood():
    # where inputs have no effect of their own, balanced data have the same estimates by both
    rng = np.random.default_rng(1)
    runs = simulated(rng, (6, 3, 1), (4.0, 1.0, 0, 0, 0))
    inputs = np.array([-1.0, 0.0, 1.0])  # crossed, and alike for all runs
    found = statistics.variance_components(runs + inputs)
    frame = pd.DataFrame({"y": runs.ravel(), "network": np.repeat(np.arange(6), 3)})
    fit = MixedLM.from_formula("y ~ 1", frame, groups="network").fit(reml=True)
    assert found.pretraining == pytest.approx(fit.cov_re.iloc[0, 0], rel=1e-4)
    assert found.compression == pytest.approx(fit.scale, rel=1e-4)
    assert found.inputs == pytest.approx(1.0)
    assert found.choice_of_inputs == pytest.approx(1 / 3)
    assert found.between_runs["inputs_by_run"] == pytest.approx(0, abs=1e-12)


def test_the_mean_of_many_estimates_is_what_was_simulated():
    rng, truth = np.random.default_rng(2), (4.0, 1.0, 9.0, 2.0, 3.0)
    found = [
        statistics.variance_components(simulated(rng, (10, 3, 20), truth, mean=0.9))
        for _ in range(3000)
    ]
    assert sum(bool(one.negative) for one in found) < 10  # setting to 0 biases
    for name, true in zip(NAMES, truth, strict=True):
        estimates = np.array([getattr(one, name) for one in found])
        error = estimates.std() / len(found) ** 0.5
        assert abs(estimates.mean() - true) < 4 * error, name
        assert error < 0.02 * true


def test_the_parts_between_runs_are_the_spread_of_their_means():
    rng, truth = np.random.default_rng(3), (0.5, 0.25, 30.0, 4.0, 6.0)
    means = [simulated(rng, (400, 1, 10), truth).mean(axis=2).var(ddof=1) for _ in range(20)]
    parts = statistics.VarianceComponents(0.0, *truth, 1.75, 10, ()).between_runs
    assert parts == {"pretraining": 0.5, "compression": 0.25, "inputs_by_run": 1.0}
    assert np.mean(means) == pytest.approx(sum(parts.values()), rel=0.05)
    found = statistics.variance_components(simulated(rng, (400, 2, 10), truth))
    assert found.run_mean == pytest.approx(1.75, rel=0.2)


def test_a_negative_estimate_is_set_to_0_and_named():
    values = np.zeros((2, 2, 2))
    values[:, 0], values[:, 1] = 1.0, -1.0  # networks are alike, their runs are not
    found = statistics.variance_components(values)
    assert found.negative == ("pretraining",)
    assert found.pretraining == 0 and found.compression == pytest.approx(2.0)
    assert found.run_mean == pytest.approx(1.0)  # half of what runs of one network vary by


def test_scale_and_shift():
    values = simulated(np.random.default_rng(5), (4, 3, 5), (1, 1, 1, 1, 1))
    found, other = (statistics.variance_components(v) for v in (values, 1e6 + 10 * values))
    for name in NAMES:
        assert getattr(other, name) == pytest.approx(100 * getattr(found, name), rel=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 3)), "got 2 axes, expected 3"),
        (np.zeros((1, 2, 2)), "got 1 pretraining seed"),
        (np.zeros((2, 1, 2)), "got 1 compression seed"),
        (np.zeros((2, 2, 1)), "got 1 input"),
        (np.full((2, 2, 2), np.nan), "not all are finite"),
    ],
)
def test_other_designs_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        statistics.variance_components(values)
