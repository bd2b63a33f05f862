import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ecqx.results import statistics

values = st.floats(-1e3, 1e3, allow_nan=False)


@given(st.lists(values, min_size=2, max_size=12), st.floats(0.5, 0.999))
def test_interval_is_that_of_scipy(data, confidence):
    result = statistics.mean_interval(data, confidence)
    assert result.n == len(data)
    scale = stats.sem(data)
    if scale == 0:
        assert result.half_width == 0
        return
    low, high = stats.t.interval(confidence, len(data) - 1, loc=np.mean(data), scale=scale)
    assert result.mean - result.half_width == pytest.approx(low, rel=1e-9, abs=1e-9)
    assert result.mean + result.half_width == pytest.approx(high, rel=1e-9, abs=1e-9)


def test_interval_needs_two_values_and_skips_what_is_not_finite():
    one = statistics.mean_interval([0.5, math.nan, math.inf])
    assert one.mean == 0.5 and math.isnan(one.half_width) and one.n == 1
    none = statistics.mean_interval([math.nan])
    assert math.isnan(none.mean) and math.isnan(none.half_width) and none.n == 0


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_confidence_outside_its_range_is_refused(confidence):
    with pytest.raises(ValueError, match=r"confidence: .* is not in \(0, 1\)"):
        statistics.mean_interval([1, 2], confidence)


def dominated(i, gain, cost):
    return any(
        gain[j] >= gain[i] and cost[j] <= cost[i] and (gain[j] > gain[i] or cost[j] < cost[i])
        for j in range(len(gain))
    )


# Few distinct values, so that ties and equal points are common.
coarse = st.one_of(st.integers(0, 5).map(float), st.just(math.nan), st.just(math.inf))


@given(st.lists(st.tuples(coarse, coarse), max_size=25))
def test_pareto_front_is_that_of_brute_force(points):
    gain = [point[0] for point in points]
    cost = [point[1] for point in points]
    finite = [math.isfinite(g) and math.isfinite(c) for g, c in points]
    kept = [i for i, ok in enumerate(finite) if ok]
    gains, costs = [gain[i] for i in kept], [cost[i] for i in kept]
    expected = np.zeros(len(points), dtype=bool)
    for place, i in enumerate(kept):
        expected[i] = not dominated(place, gains, costs)
    np.testing.assert_array_equal(statistics.pareto_front(gain, cost), expected)


def test_pareto_front_refuses_unequal_shapes():
    with pytest.raises(ValueError, match="shapes"):
        statistics.pareto_front([1, 2], [1])


def test_points_agree_with_each_seed_by_hand(runs):
    points = statistics.aggregate_points(runs)
    assert len(points) == runs.drop_duplicates(statistics.POINT).shape[0]
    for row in points.sample(12, random_state=0).to_dict("records"):
        own = runs[(runs[statistics.POINT] == [row[k] for k in statistics.POINT]).all(axis=1)]
        own = own[own["status"] == "ok"]
        for quantity in ("accuracy", "size_bytes", "compression_ratio", "sparsity"):
            expected = statistics.mean_interval(own[quantity])
            assert row[f"{quantity}_mean"] == pytest.approx(expected.mean, nan_ok=True)
            assert row[f"{quantity}_half_width"] == pytest.approx(expected.half_width, nan_ok=True)
            assert row[f"{quantity}_n"] == expected.n
        change = statistics.mean_interval(own["accuracy"] - own["accuracy_fp32"])
        assert row["accuracy_change_mean"] == pytest.approx(change.mean, nan_ok=True)


def test_points_with_a_diverged_run_are_counted_and_not_complete(runs):
    points = statistics.aggregate_points(runs).set_index(statistics.POINT)
    gone = points.loc[("digits", "residual_cnn", "ecq", "bits~2_lam~0.6")]
    assert (gone["runs"], gone["ok"], gone["diverged"], gone["skipped"]) == (3, 0, 3, 0)
    assert math.isnan(gone["accuracy_mean"]) and not gone["complete"]
    partly = points.loc[("digits", "residual_cnn", "uniform_ptq", "bits~2")]
    assert (partly["ok"], partly["diverged"], partly["accuracy_n"]) == (2, 1, 2)
    assert math.isfinite(partly["accuracy_mean"]) and not partly["complete"]
    assert points.loc[("digits", "residual_cnn", "ecq", "bits~4_lam~0.1"), "complete"]


def test_values_of_a_run_that_is_not_ok_enter_no_mean(build_runs):
    runs = build_runs(methods=["uniform"])
    runs.loc[0, ["status", "accuracy"]] = ["diverged", 0.1]
    first = runs.iloc[0]
    points = statistics.aggregate_points(runs).set_index(statistics.POINT)
    row = points.loc[tuple(first[statistics.POINT])]
    same = (runs[statistics.POINT] == first[statistics.POINT].tolist()).all(axis=1)
    assert row["accuracy_mean"] == pytest.approx(runs.loc[same, "accuracy"].iloc[1:].mean())


def test_a_run_without_accuracy_makes_its_point_incomplete(build_runs):
    runs = build_runs(tasks=[("digits", "residual_cnn")], methods=["uniform"])
    runs.loc[0, "accuracy"] = math.nan
    points = statistics.aggregate_points(runs)
    assert points["complete"].tolist() == (points["point"] != runs.loc[0, "point"]).tolist()


def test_a_run_given_twice_and_a_missing_column_are_named(runs):
    with pytest.raises(ValueError, match="occurs twice: digits/residual_cnn/uniform_ptq/bits~2/0"):
        statistics.aggregate_points(pd.concat([runs, runs.iloc[:1]]))
    with pytest.raises(ValueError, match="missing column.*sparsity"):
        statistics.aggregate_points(runs.drop(columns="sparsity"))


def test_full_precision_counts_each_seed_once(runs):
    table = statistics.full_precision(runs).set_index("dataset")
    assert table.index.tolist() == ["digits", "cluttered_digits", "spoken_keywords"]
    expected = statistics.mean_interval([0.978, 0.981, 0.984])
    assert table.loc["digits", "accuracy_mean"] == pytest.approx(expected.mean)
    assert table.loc["digits", "accuracy_half_width"] == pytest.approx(expected.half_width)
    assert table.loc["digits", "accuracy_n"] == 3
    assert table.loc["digits", "size_bytes_mean"] == 80_000


def matching_frame(sizes, accuracies=None):
    rows = []
    for method, own in sizes.items():
        for i, size in enumerate(own):
            accuracy = 0.9 if accuracies is None else accuracies[method][i]
            rows.append(
                {
                    "dataset": "d", "model": "m", "method": method, "point": f"i~{i}", "seed": 0,
                    "status": "ok" if math.isfinite(size) else "diverged", "accuracy": accuracy,
                    "accuracy_fp32": 0.95, "size_bytes": size,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def test_matched_runs_are_the_closest_in_size():
    frame = matching_frame({"a": [100, 1000], "b": [210, 950], "c": [30, 1040]})
    chosen = statistics.matched_runs(frame).set_index("method")
    assert chosen["size_bytes"].to_dict() == {"a": 1000, "b": 950, "c": 1040}


def test_matched_runs_leave_collapsed_networks_aside_unless_there_is_nothing_else():
    frame = matching_frame(
        {"a": [100, 1000], "b": [100, 1100], "c": [100]},
        {"a": [0.1, 0.9], "b": [0.2, 0.9], "c": [0.1]},
    )
    chosen = statistics.matched_runs(frame).set_index("method")
    assert chosen["size_bytes"].to_dict() == {"a": 1000, "b": 1100, "c": 100}


def test_matched_runs_keep_a_method_without_a_finished_run():
    frame = matching_frame({"a": [100, 200], "b": [math.nan, math.nan]})
    chosen = statistics.matched_runs(frame).set_index("method")
    assert chosen.loc["b", "status"] == "diverged"
    assert chosen.loc["a", "status"] == "ok"


def test_matched_runs_are_of_one_seed_and_of_every_task(runs):
    chosen = statistics.matched_runs(runs)
    assert len(chosen) == 3 * 6 and set(chosen["seed"]) == {0}
    assert set(statistics.matched_runs(runs, seed=2)["seed"]) == {2}
    spread = chosen.groupby("dataset")["size_bytes"].agg(lambda size: size.max() / size.min())
    assert (spread < 2).all()
