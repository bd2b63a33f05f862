"""Each table on cases worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from ecqx.results import latex, rendering, statistics
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.keys import METHOD_COLUMNS
from ecqx.results.tables import (
    ablation,
    agreement,
    alignment,
    chosen,
    classes,
    closeness,
    comparisons,
    complexity,
    contrasts,
    costs,
    equal_accuracy,
    equal_size,
    failures,
    faithfulness,
    hypervolume,
    matching,
    metric_agreement,
    parts,
    published,
    sanity,
    tuning,
)

T_2 = 12.706204736432095  # 97.5 % quantile of Student's t, one degree of freedom
NAN = math.nan
FULL = 1600  # bytes


def run(method, point, seed, accuracy, size, status="ok", full=0.9, **more):
    return {
        "dataset": "d", "model": "m", "method": method, "point": point, "seed": seed,
        "bits": 4.0, "status": status, "accuracy": accuracy, "accuracy_fp32": full,
        "size_bytes": size, "size_fp32_bytes": FULL, "compression_ratio": FULL / size,
        "sparsity": 0.5, "entropy_bytes": size, "train_s": 1.0,
        "accuracy_validation": accuracy, "accuracy_validation_fp32": full,
    } | more  # fmt: skip


def gone(method, point, seed, status="diverged"):
    return run(method, point, seed, NAN, NAN, status)


def measure(run, explainer, metric, mean, signed=True, subset="all"):
    keys = {key: run[key] for key in statistics.RUN}
    return keys | {"explainer": explainer, "metric": metric, "subset": subset, "signed": signed,
                   "mean": mean, "std": 0.1, "n": 100}  # fmt: skip


def anchor(name, seed, explainer, metric, mean):
    return measure(run(name, "anchor", seed, 1, 1), explainer, metric, mean)


def frame(rows):
    return pd.DataFrame(rows)


# operating points


def points_runs(**columns):
    rows = [
        run("ecq", "lam~0", 0, 0.91, 800), run("ecq", "lam~0", 1, 0.91, 800),
        run("ecq", "lam~1", 0, 0.89, 400), run("ecq", "lam~1", 1, 0.90, 400),
        run("ecq", "lam~2", 0, 0.90, 200), run("ecq", "lam~2", 1, 0.87, 200),
        run("ecq", "lam~3", 0, 0.95, 100), gone("ecq", "lam~3", 1),
        run("nncodec", "qp~1", 0, 0.5, 50, bits=NAN), run("nncodec", "qp~1", 1, 0.5, 50, bits=NAN),
    ]  # fmt: skip
    return frame(rows).assign(**columns)


VALIDATION = [0.80, 0.80, 0.79, 0.80, 0.80, 0.70, 0.795, NAN, 0.5, 0.5]


def validated(validation=VALIDATION):
    return points_runs(accuracy_validation=validation, accuracy_validation_fp32=0.8)


def test_operating_points_are_chosen_by_each_seed_on_validation():
    table = chosen.operating_points(Collected(validated()))
    ecq = table[table["method"] == "ecq"].set_index("criterion")
    # Seed 0 chooses lam~2 (as good as lam~0 on validation, smaller), seed 1 lam~1.
    row = ecq.loc["best_accuracy"]
    assert row["points"] == "lam~1 (1), lam~2 (1)"
    assert row["accuracy_mean"] == pytest.approx((0.90 + 0.90) / 2)
    assert (row["n"], row["seeds"], row["runs"], row["diverged"]) == (2, 2, 8, 1)
    assert row["size_bytes_values"] == "200 400"
    row = ecq.loc["within_1_point"]
    assert row["points"] == "lam~1 (1), lam~3 (1)"
    assert row["size_bytes_mean"] == (100 + 400) / 2
    assert row["compression_ratio_geomean"] == pytest.approx(FULL / 200)
    low, high = row["compression_ratio_low"], row["compression_ratio_high"]
    assert low == pytest.approx(8 * 4 ** (-T_2 / 2)) and high == pytest.approx(8 * 4 ** (T_2 / 2))
    assert table["bits"].isna().sum() == 4  # nncodec has no bit width and comes last
    assert table["points"].tolist()[-3:] == ["none"] * 3
    document = chosen.operating_points_document(table)
    assert [section.title for section in document.sections] == [
        "d / m, 4 bit", "d / m, no bit width"
    ]  # fmt: skip


def test_a_lucky_test_accuracy_chooses_nothing():
    """lam~3 is best on test data with seed 0, and not chosen for it."""
    runs = validated([0.80, 0.80, 0.79, 0.80, 0.80, 0.70, 0.60, NAN, 0.5, 0.5])
    for table in (chosen.summary(Collected(runs)), chosen.operating_points(Collected(runs))):
        assert not table.loc[table["method"] == "ecq", "points"].str.contains("lam~3").any()


def test_criteria_that_choose_alike_share_a_row():
    runs = validated([0.80, 0.80, 0.79, 0.79, 0.80, 0.80, 0.60, NAN, 0.5, 0.5])
    document = chosen.operating_points_document(chosen.operating_points(Collected(runs)))
    assert [row[1:3] for row in document.sections[0].rows] == [
        ["best accuracy to within 2 points", "lam~2"]
    ]


def test_operating_points_of_some_seeds_say_how_many():
    validation = [0.80, 0.70, 0.79, 0.70, 0.70, 0.70, 0.70, NAN, 0.5, 0.5]
    table = chosen.operating_points(Collected(validated(validation)))
    row = table[(table["method"] == "ecq") & (table["criterion"] == "no_degradation")].iloc[0]
    assert (row["n"], row["seeds"]) == (1, 2) and math.isnan(row["accuracy_half_width"])
    text = rendering.to_markdown(chosen.operating_points_document(table))
    assert "± n/a [1 of 2]" in text and "2 seed(s) only" in text


def test_the_smallest_networks_are_those_of_any_bit_width():
    runs = validated()
    runs.loc[runs["point"] == "lam~2", "bits"] = 2
    table = chosen.smallest(Collected(runs))
    assert table["criterion"].tolist() == [
        "no_degradation", "within_1_point", "within_2_points"
    ] * 2  # fmt: skip
    ecq = table[table["method"] == "ecq"].set_index("criterion")
    # seed 0: the smallest that is as good on validation is of 2 bits; seed 1: of 4
    assert ecq.loc["no_degradation", "points"] == "lam~1 (1), lam~2 (1)"
    assert ecq.loc["no_degradation", "size_bytes_mean"] == (200 + 400) / 2
    assert ecq.loc["within_1_point", "size_bytes_mean"] == (100 + 400) / 2
    text = rendering.to_markdown(chosen.smallest_document(table))
    assert "| ECQ " in text and "| NNCodec" in text and "| none" in text
    assert "Each seed chooses" in text and "{0.20, 0.40}" in text


# what is read off the fronts


def two_fronts():
    """On seed 1, method b is one point above a at every size that both reach."""
    rows = []
    for seed, above in ((0, 0.02), (1, 0.01), (2, 0.03)):
        rows += [
            run("a", "p~0", seed, 0.5, 100), run("a", "p~1", seed, 0.7, 200),
            run("a", "p~2", seed, 0.9, 400),
            run("b", "p~0", seed, 0.5 + above, 100), run("b", "p~1", seed, 0.7 + above, 200),
        ]  # fmt: skip
    return frame(rows)


def test_equal_size_by_hand():
    table = equal_size.build(Collected(two_fronts()))
    assert sorted(set(table["ratio"])) == [4, 5, 6.3, 8, 10, 12.5, 16]
    at = table.set_index(["ratio", "method"])
    assert at.loc[(16, "a"), "accuracy_mean"] == pytest.approx(0.5)
    # runs at 100, 200 and 400 bytes: near 16, 8 and 4 alone
    assert at["near"].groupby("ratio").any().to_dict() == {
        4: True, 5: False, 6.3: False, 8: True, 10: False, 12.5: False, 16: True
    }  # fmt: skip
    assert at.loc[(8, "b"), "accuracy_mean"] == pytest.approx(0.72)
    assert at.loc[(10, "a"), "accuracy_mean"] == pytest.approx(0.5 + 0.2 * np.log2(1.6))
    assert at.loc[(10, "a"), "size_bytes"] == 160
    assert at.loc[(5, "b"), "accuracy_n"] == 0 and math.isnan(at.loc[(5, "b"), "accuracy_mean"])
    text = rendering.to_markdown(equal_size.document(table))
    assert "| n/a " in text and "| 50.0 ± 0.0 " in text and "| (63.6 ± 0.0)" in text


def test_equal_size_counts_seeds_that_do_not_reach_it():
    runs = two_fronts()
    runs = runs[~((runs["seed"] == 2) & (runs["point"] == "p~2"))]
    table = equal_size.build(Collected(runs)).set_index(["ratio", "method"])
    assert table.loc[(4, "a"), "accuracy_n"] == 2 and table.loc[(4, "a"), "seeds"] == 3
    text = rendering.to_markdown(equal_size.document(table.reset_index()))
    assert "[2 of 3]" in text


def test_equal_accuracy_by_hand():
    rows = []
    for seed in (0, 1):
        rows += [
            run("a", "p~0", seed, 0.88, 100), run("a", "p~1", seed, 0.90, 400),
            run("worse", "p~0", seed, 0.6, 100),
        ]  # fmt: skip
    rows += [run("gone", "p~0", 0, 0.9, 50), gone("gone", "p~0", 1)]
    table = equal_accuracy.build(Collected(frame(rows))).set_index(["method", "drop"])
    assert table.loc[("a", 0.01), "size_bytes_geomean"] == pytest.approx(200)
    assert table.loc[("a", 0.01), "compression_ratio_geomean"] == pytest.approx(8)
    assert table.loc[("a", 0.01), "accuracy_change_mean"] == pytest.approx(-0.01)
    assert table.loc[("a", 0.0), "size_bytes_geomean"] == pytest.approx(400)
    assert table.loc[("a", 0.05), "still_above"] == 2 and table.loc[("a", 0.05), "n"] == 0
    assert table.loc[("worse", 0.05), "not_reached"] == 2
    row = table.loc[("gone", 0.0)]
    assert (row["n"], row["without_front"]) == (1, 1)
    assert row["size_bytes_geomean"] == pytest.approx(50)
    counts = ["n", "not_reached", "still_above", "without_front"]
    assert (table[counts].sum(axis=1) == 2).all()


def test_equal_accuracy_is_that_of_validation_and_test_is_read_there():
    rows = []
    for seed in (0, 1):
        rows += [
            run("a", "p~0", seed, 0.60, 100, accuracy_validation=0.88),
            run("a", "p~1", seed, 0.70, 400, accuracy_validation=0.90),
        ]
    table = equal_accuracy.build(Collected(frame(rows))).set_index("drop")
    assert table.loc[0.01, "size_bytes_geomean"] == pytest.approx(200)
    assert table.loc[0.01, "accuracy_change_mean"] == pytest.approx(0.65 - 0.9)


def test_comparisons_by_hand():
    table = comparisons.build(Collected(two_fronts()))
    (row,) = table.to_dict("records")
    # of R40 within 10 % of 200 bytes, where b ends, or of 100, where both begin
    assert (row["ratios"], row["ratio_least"], row["ratio_most"]) == (4, 8, 16)
    assert row["difference_mean"] == pytest.approx(-0.02) and row["n"] == 3
    assert row["d_z"] == pytest.approx(-2)
    assert row["p_wilcoxon"] == row["p_wilcoxon_least"] == 0.25
    assert row["p_t_holm"] == row["p_t"]  # a single pair
    text = rendering.to_markdown(comparisons.document(table))
    assert "0.250 (≥ 0.250)" in text and "-2.00 ± " in text


def test_methods_without_a_common_size_are_not_compared():
    rows = [run("a", "p~0", seed, 0.5, 100) for seed in (0, 1, 2)]
    rows += [run("b", "p~0", seed, 0.5, 400) for seed in (0, 1, 2)]
    (row,) = comparisons.build(Collected(frame(rows))).to_dict("records")
    assert row["ratios"] == 0 and row["n"] == 0 and math.isnan(row["difference_mean"])
    assert math.isnan(row["p_t_holm"])
    assert "n/a" in rendering.to_markdown(comparisons.document(frame([row])))


# volumes


def test_hypervolume_ranks_and_means():
    rows = []
    for seed in (0, 1, 2):
        # a offers the accuracy of full precision throughout, b a third of its upper half
        rows += [run("a", "p~0", seed, 0.9, FULL / 2), run("a", "p~1", seed, 0.9, FULL / 8)]
        rows += [run("b", "p~0", seed, 0.7, FULL / 2), run("b", "p~1", seed, 0.6, FULL / 16)]
        rows += [gone("c", "p~0", seed), gone("d", "p~0", seed, "skipped")]
    maps = [measure(row, "lrp", "pearson", 0.5) for row in rows if row["method"] == "a"]
    table = hypervolume.build(Collected(frame(rows), frame(maps)))
    flat = table[table["explainer"] == ""].set_index("method")
    assert (flat["ratio_least"] == 2).all() and (flat["ratio_most"] == 8).all()
    # from 2 to 8 is two halvings, in which b offers its smaller run: 2 * 0.6 / 0.9 - 1
    expected = {"a": 2, "b": 2 / 3, "c": 0}
    assert flat["volume_mean"].drop("d").to_dict() == pytest.approx(expected)
    assert flat["rank"].drop("d").to_dict() == {"a": 1, "b": 2, "c": 3}
    assert math.isnan(flat.loc["d", "rank"]) and flat.loc["d", "tasks"] == 0
    assert flat["rank_mean"].isna().all()  # of one task
    maps = table[table["explainer"] == "lrp"].set_index("method")
    assert maps.loc["a", "volume_mean"] == pytest.approx(1) and maps.loc["b", "volume_mean"] == 0
    text = rendering.to_markdown(hypervolume.document(table))
    assert "6 of 6" not in text and "3 of 3" in text and "n/a" in text


def test_methods_without_a_common_size_have_no_volume():
    rows = [run("a", "p~0", 0, 0.9, 800), run("b", "p~0", 0, 0.9, 100)]
    table = hypervolume.build(Collected(frame(rows)))
    assert table["volume_mean"].isna().all() and table["rank"].isna().all()


# costs


def test_costs_are_paired_by_seed():
    rows = []
    for seed, base in ((0, 2.0), (1, 4.0)):
        rows += [
            run("uniform", "bits~2", seed, 0.9, 100, train_s=base),
            run("uniform", "bits~4", seed, 0.9, 200, train_s=base),
            run("ecqx", "lam~0", seed, 0.9, 100, train_s=3 * base),
            gone("ecqx", "lam~1", seed) | {"train_s": 0.1},
        ]
    table = costs.build(Collected(frame(rows))).set_index("method")
    assert table.loc["ecqx", "train_s_mean"] == 9
    ratio = [table.loc["ecqx", f"train_s_ratio_{part}"] for part in ("geomean", "low", "high")]
    assert ratio == pytest.approx([3, 3, 3])
    assert table.loc["ecqx", "diverged"] == 2
    assert table["peak_memory_bytes_n"].eq(0).all()
    with_memory = frame(rows).assign(peak_memory_bytes=[100, 100, 300, NAN] * 2)
    table = costs.build(Collected(with_memory)).set_index("method")
    assert table.loc["ecqx", "peak_memory_bytes_ratio_geomean"] == pytest.approx(3)


def test_costs_without_uniform_have_no_ratio():
    table = costs.build(Collected(frame([run("ecqx", "lam~0", 0, 0.9, 100)])))
    assert table["train_s_ratio_n"].eq(0).all() and table["train_s_n"].eq(1).all()


# attributions


def test_matching_pairs_methods_by_name():
    known = matching.pairs(["uniform", "wcam", "ecq", "ecq_wcam", "odd_wcam", "ecqx_wcam"])
    assert known == {"wcam": "uniform", "ecq_wcam": "ecq"}


def matched():
    rows, maps = [], []
    for seed in (0, 1):
        for bits in (2, 4):
            plain = run("uniform", f"bits~{bits}", seed, 0.80, 100 * bits, p_bits=bits)
            for gamma in (10, 100):
                point = f"bits~{bits}_gamma~{gamma}"
                size = 110 * bits
                rows.append(run("wcam", point, seed, 0.83, size, p_bits=bits, p_gamma=gamma))
                gain = 0.1 if gamma == 100 else 0.0
                maps.append(measure(rows[-1], "lrp", "auc", 0.7 + gain + 0.02 * seed))
                maps.append(measure(rows[-1], "lrp", "pointing_game", 0.5))
            rows.append(plain)
            maps.append(measure(plain, "lrp", "auc", 0.7))
            maps.append(measure(plain, "lrp", "pointing_game", 0.4))
        maps.append(anchor("identical", seed, "lrp", "auc", 0.95))
    return frame(rows), frame(maps)


def test_matching_by_hand():
    runs, maps = matched()
    table = matching.build(Collected(runs, maps)).set_index("point")
    assert len(table) == 4 and set(table["compression"]) == {"uniform"}
    row = table.loc["bits~2_gamma~100"]
    assert row["auc_full_mean"] == pytest.approx(0.95)
    assert row["auc_without_mean"] == pytest.approx(0.7)
    assert row["auc_difference_mean"] == pytest.approx(0.11)
    assert row["auc_difference_half_width"] == pytest.approx(T_2 * 0.01)
    assert row["pointing_game_difference_mean"] == pytest.approx(0.1)
    assert row["accuracy_difference_mean"] == pytest.approx(0.03)
    assert row["size_ratio_geomean"] == pytest.approx(1.1)
    assert table.loc["bits~4_gamma~10", "auc_difference_mean"] == pytest.approx(0.01)


def test_matching_leaves_a_diverged_run_out_of_n():
    runs, maps = matched()
    lost = (runs["method"] == "wcam") & (runs["seed"] == 1) & (runs["p_bits"] == 2)
    runs.loc[lost, ["status", "accuracy", "size_bytes"]] = ["diverged", NAN, NAN]
    keep = ~((maps["method"] == "wcam") & (maps["seed"] == 1) & maps["point"].str.contains("~2_"))
    table = matching.build(Collected(runs, maps[keep])).set_index("point")
    assert table.loc["bits~2_gamma~10", "auc_difference_n"] == 1
    assert table.loc["bits~2_gamma~10", "accuracy_difference_n"] == 1
    assert table.loc["bits~4_gamma~10", "auc_difference_n"] == 2
    assert "[1 of 2]" in rendering.to_markdown(matching.document(table.reset_index()))


def test_matching_without_masks_or_counterpart_is_unavailable():
    runs, maps = matched()
    with pytest.raises(Unavailable, match="with and without"):
        matching.build(Collected(runs[runs["method"] == "wcam"], maps))
    with pytest.raises(Unavailable, match="no task has masks"):
        matching.build(Collected(runs, maps.assign(metric="cosine").drop_duplicates(
            [*statistics.RUN, "metric"])))  # fmt: skip


def close(lower_is_better=False):
    """At sizes 100 and 200: method wcam keeps 0.1 more than uniform, uniform 0.2 over retrained."""
    rows, maps = [], []
    sign = -1 if lower_is_better else 1
    metric = "normalised_l2" if lower_is_better else "cosine"
    for seed, extra in ((0, 0.0), (1, 0.01), (2, -0.01)):
        for size, level in ((100, 0.6), (200, 0.8)):
            for method, more in (("uniform", 0.0), ("wcam", 0.1 + extra)):
                rows.append(run(method, f"p~{size}", seed, 0.7 + size / 1000, size))
                maps.append(measure(rows[-1], "lrp", metric, sign * (level + more)))
        maps.append(anchor("retrained", seed, "lrp", metric, sign * 0.5))
    return frame(rows), frame(maps)


@pytest.mark.parametrize("lower_is_better", [False, True])
def test_closeness_by_hand(lower_is_better):
    table = closeness.build(Collected(*close(lower_is_better))).set_index("method")
    row = table.loc["wcam"]
    assert (row["ratio_least"], row["ratio_most"], row["count"]) == (8, 16, 2)
    assert row["paired"] == "points"
    assert row["difference_mean"] == pytest.approx(0.1) and row["n"] == 3
    assert row["d_z"] == pytest.approx(10)
    assert row["accuracy_difference_mean"] == pytest.approx(0)
    assert row["retrained_difference_mean"] == pytest.approx(0.7 + 0.1 - 0.5)
    uniform = table.loc["uniform"]
    # of R40 within 10 % of 100 or 200 bytes, between them
    level = np.mean([0.6 + 0.2 * np.log2(FULL / r / 100) for r in (8, 8.5, 15, 16)])
    assert uniform["count"] == 4 and uniform["paired"] == "sizes"
    assert uniform["n"] == 0 and uniform["retrained_difference_mean"] == pytest.approx(level - 0.5)


def test_closeness_goes_through_all_runs_where_no_sizes_agree():
    """The run at 200 is off the front, and counts: accuracy does not choose among maps."""
    rows, maps = [], []
    for seed in (0, 1, 2):
        for size, accuracy, level in ((100, 0.8, 0.6), (200, 0.7, 0.9)):
            rows.append(run("uniform", f"p~{size}", seed, accuracy, size))
            maps.append(measure(rows[-1], "lrp", "cosine", level))
        for size in (150, 190):
            rows.append(run("wcam", f"p~{size}", seed, 0.8, size))
            maps.append(measure(rows[-1], "lrp", "cosine", 0.95))
    table = closeness.build(Collected(frame(rows), frame(maps))).set_index("method")
    row = table.loc["wcam"]
    # at a ratio of 8.5, or 188 bytes, both have a run within 10 %
    assert (row["paired"], row["count"]) == ("sizes", 1)
    uniform = 0.6 + 0.3 * np.log2(FULL / row["ratio_least"] / 100)
    assert row["difference_mean"] == pytest.approx(0.95 - uniform)


def test_absolute_maps_are_not_counted_among_the_tests():
    runs, maps = close()
    both = pd.concat([maps, maps.assign(signed=False)])
    one = closeness.build(Collected(runs, maps)).set_index("method")
    two = closeness.build(Collected(runs, both))
    signed = two["signed"].astype(bool)
    assert two.loc[~signed, "p_t_holm"].isna().all() and two.loc[~signed, "p_t"].notna().any()
    assert two[signed].set_index("method").loc["wcam", "p_t_holm"] == one.loc["wcam", "p_t_holm"]


def test_closeness_tally_and_its_star():
    table = closeness.build(Collected(*close()))
    tally = closeness.tally(table).set_index("method")
    assert tally.loc["wcam", "uniform_above"] == 1 and tally.loc["wcam", "uniform_below"] == 0
    assert tally.loc["wcam", "retrained_above"] == 1
    text = rendering.to_markdown(closeness.document(table))
    assert "+0.100 ± 0.025 \\*" in text


def test_closeness_without_uniform_still_knows_retrained():
    runs, maps = close()
    keep = runs["method"] == "wcam"
    table = closeness.build(Collected(runs[keep], maps[maps["method"] != "uniform"]))
    (row,) = table.to_dict("records")
    assert row["n"] == 0 and row["retrained_n"] == 3 and row["count"] == 4


def test_metric_agreement_by_hand():
    rows, maps = [], []
    levels = [0.1, 0.2, 0.3, 0.4, 0.5]
    for place, level in enumerate(levels):
        rows.append(run("a", f"p~{place}", 0, 0.5, 100 + place))
        maps.append(measure(rows[-1], "lrp", "cosine", level))
        maps.append(measure(rows[-1], "lrp", "ssim", level**3))
        maps.append(measure(rows[-1], "lrp", "spearman", [5, 1, 2, 3, 4][place]))
        maps.append(measure(rows[-1], "lrp", "auc", level))
        maps.append(measure(rows[-1], "grad_cam", "cosine", level))
        maps.append(measure(rows[-1], "grad_cam", "ssim", -level))
    table = metric_agreement.build(Collected(frame(rows), frame(maps)))
    found = table.set_index(["metric", "other"])
    assert set(found.index) == {
        ("cosine", "spearman"), ("cosine", "ssim"), ("spearman", "ssim")
    }  # fmt: skip
    row = found.loc[("cosine", "ssim")]
    assert (row["correlation_mean"], row["correlation_least"], row["correlation_most"]) == (
        0,
        -1,
        1,
    )
    assert (row["cells"], row["runs"]) == (2, 10)
    # ranks 1..5 against 5 1 2 3 4: squared differences 16 + 4 * 1, 1 - 6 * 20 / (5 * 24)
    assert found.loc[("cosine", "spearman"), "correlation_mean"] == pytest.approx(0)


def test_metric_agreement_needs_two_metrics():
    runs, maps = close()
    with pytest.raises(Unavailable, match="fewer than two"):
        metric_agreement.build(Collected(runs, maps))


# the others


def test_agreement_names_the_class_hit_hardest():
    rows = [run("ecq", "lam~0", seed, 0.85, 100, flips=0.1 + 0.02 * seed) for seed in (0, 1)]
    rows += [run("ecq", "lam~1", 0, 0.8, 100, flips=0.3), gone("ecq", "lam~1", 1) | {"flips": NAN}]
    predictions = [
        {key: row[key] for key in statistics.RUN}
        | {"class": name, "n": count, "accuracy": 0.9 - drop, "accuracy_fp32": 0.9}
        for row in rows[:2]
        for name, drop, count in ((7, 0.1 + 0.02 * row["seed"], 40 - row["seed"]), (8, 0.0, 30))
    ]
    table = agreement.build(Collected(frame(rows), predictions=frame(predictions)))
    row = table.set_index("point").loc["lam~0"]
    assert row["flips_mean"] == pytest.approx(0.11)
    assert row["flips_half_width"] == pytest.approx(T_2 * 0.01)
    assert (row["worst_class"], row["worst_class_samples"]) == ("7", 39)
    assert row["worst_class_change_mean"] == pytest.approx(-0.11)
    other = table.set_index("point").loc["lam~1"]
    assert other["flips_n"] == 1 and other["diverged"] == 1
    text = rendering.to_markdown(agreement.document(table))
    assert "30.00 ± n/a [1 of 2]" in text and "1 of 2" in text


def test_agreement_compares_calibration_with_that_of_full_precision():
    rows = [
        run("ecq", "lam~0", seed, 0.85, 100, flips=0.1, calibration_error=0.05 + 0.02 * seed,
            calibration_error_fp32=0.02)
        for seed in (0, 1)
    ]  # fmt: skip
    lost = {"flips": NAN, "calibration_error": NAN, "calibration_error_fp32": 0.5}
    table = agreement.build(Collected(frame([*rows, gone("ecq", "lam~0", 2) | lost])))
    (row,) = table.to_dict("records")
    assert row["calibration_error_mean"] == pytest.approx(0.06)
    assert row["calibration_change_mean"] == pytest.approx(0.04)
    assert row["calibration_change_half_width"] == pytest.approx(T_2 * 0.01)
    assert row["calibration_change_n"] == 2
    (section,) = agreement.document(table).sections
    cells = dict(zip(section.headers, section.rows[0], strict=True))
    assert cells["Calibration error [points]"].startswith("6.00 ± ")
    # results from before it was measured
    older = agreement.build(Collected(frame(rows).drop(columns="calibration_error")))
    assert older["calibration_error_mean"].isna().all() and older["flips_n"].tolist() == [2]


def test_classes_are_means_over_points_and_compared_with_each_other():
    runs = [run("ecq", f"lam~{lam}", seed, 0.8, 100) for seed in (0, 1) for lam in (0, 1)]
    predictions = [
        {key: row[key] for key in statistics.RUN}
        | {"class": name, "n": count - row["seed"], "accuracy_fp32": 0.9,
           "accuracy": 0.9 - drop * (1 + int(row["point"][-1])) - 0.02 * row["seed"],
           "agreement": 1 - drop}
        for row in runs for name, drop, count in ((9, 0.1, 40), (7, 0.0, 30))
    ]  # fmt: skip
    table = classes.build(Collected(frame(runs), predictions=frame(predictions)))
    assert table["class"].tolist() == [9, 7]  # as they came
    hit, spared = table.to_dict("records")
    assert (hit["n"], spared["n"]) == (39, 29)
    assert hit["change_mean"] == pytest.approx(-0.16)
    assert hit["change_half_width"] == pytest.approx(T_2 * 0.01)
    assert (hit["beyond_mean"], spared["beyond_mean"]) == pytest.approx((-0.075, 0.075))
    assert hit["beyond_half_width"] == pytest.approx(0, abs=1e-12)
    assert (hit["agreement_mean"], spared["agreement_mean"]) == pytest.approx((0.9, 1.0))
    (section,) = classes.document(table).sections
    assert section.rows[0][:3] == ["ECQ", "9", "39"] and section.rows[1][:2] == ["", "7"]
    older = classes.build(
        Collected(frame(runs), predictions=frame(predictions).drop(columns="agreement"))
    )
    assert older["agreement_n"].tolist() == [0, 0] and older["change_n"].tolist() == [2, 2]
    with pytest.raises(Unavailable, match="predictions per class were not collected"):
        classes.build(Collected(frame(runs)))


def test_sanity_shows_first_half_and_all():
    rows = [
        {"dataset": "d", "model": "m", "seed": seed, "explainer": "lrp",
         "layers_randomised": count, "layer": f"l{count}", "metric": "cosine", "signed": signed,
         "mean": 1 - 0.2 * count + 0.1 * seed if signed else 0.0}
        for seed in (0, 1) for count in range(1, 6) for signed in (True, False)
    ]  # fmt: skip
    runs = frame([run("ecq", "lam~0", seed, 0.9, 100) for seed in (0, 1)])
    table = sanity.build(Collected(runs, randomisation=frame(rows)))
    assert len(table) == 10 and set(table["layers"]) == {5}
    (section,) = sanity.document(table).sections
    assert list(section.headers)[2:] == ["1 of 5 layers", "3 of 5 layers", "5 of 5 layers"]
    assert [cell.split(" ")[0] for cell in section.rows[0][3:]] == [
        "0.450", "0.050"
    ]  # fmt: skip


def test_sanity_shows_another_class_before_all_layers():
    rows = [
        {"dataset": "d", "model": "m", "seed": seed, "explainer": "lrp",
         "layers_randomised": count, "layer": f"l{count}", "metric": metric, "signed": True,
         "mean": 0.5 + 0.1 * count}
        for seed in (0, 1) for count in range(3) for metric in ("pearson", "entropy_rise")
        if (count, metric) != (0, "entropy_rise")
    ]  # fmt: skip
    runs = frame([run("ecq", "lam~0", seed, 0.9, 100) for seed in (0, 1)])
    table = sanity.build(Collected(runs, randomisation=frame(rows)))
    (section,) = sanity.document(table).sections
    assert list(section.headers)[2:] == ["Another class", "1 of 2 layers", "2 of 2 layers"]
    assert [[cell.split(" ")[0] for cell in row[2:]] for row in section.rows] == [
        ["0.500", "0.600", "0.700"], ["–", "0.600", "0.700"]
    ]  # fmt: skip
    assert section.rows[1][1] == "Rise of entropy"


def test_complexity_is_compared_with_full_precision_of_the_same_seed():
    runs = [run("ecq", f"lam~{lam}", seed, 0.9, 100 + lam) for seed in (0, 1) for lam in (0, 1)]
    networks = [("identical", "anchor", 0), ("random", "anchor", 0.3),
                ("ecq", "lam~0", 0.02), ("ecq", "lam~1", 0.04)]  # fmt: skip
    attributions = [
        {"dataset": "d", "model": "m", "method": method, "point": point, "seed": seed,
         "explainer": "grad_cam", "metric": metric, "subset": subset, "signed": signed,
         "mean": level + 0.1 * seed - change, "std": 0.1, "n": 8, "degenerate": 0}
        for seed in (0, 1) for method, point, change in networks
        for metric, level in (("gini", 0.5), ("entropy", 3.0), ("cosine", 1.0))
        for subset in ("all", "both_correct") for signed in (True, False)
    ]  # fmt: skip
    collected = Collected(frame(runs), frame(attributions))
    table = complexity.build(collected)
    assert set(table["metric"]) == {"gini", "entropy"}
    own = table[(table["metric"] == "gini") & ~table["signed"].astype(bool)].set_index("method")
    assert own.loc["ecq", "value_mean"] == pytest.approx(0.55 - 0.03)
    assert own.loc["ecq", "change_mean"] == pytest.approx(-0.03)
    assert own.loc["ecq", "change_half_width"] == pytest.approx(0, abs=1e-12)
    assert own.loc["random", "change_mean"] == pytest.approx(-0.3)
    (section,) = complexity.document(table).sections
    assert list(section.headers) == ["Explainer", "Network", "Gini index", "Change",
                                     "Entropy [nat]", "Change"]  # fmt: skip
    assert [row[1] for row in section.rows] == ["Full precision", "Untrained", "ECQ"]
    assert section.rows[0][3] == "–"
    # neither closeness nor the agreement of metrics takes it for consistency
    assert set(closeness.build(collected)["metric"]) == {"cosine"}
    with pytest.raises(Unavailable, match="fewer than two consistency metrics"):
        metric_agreement.build(collected)
    with pytest.raises(Unavailable, match="complexity of maps was not measured"):
        complexity.build(Collected(frame(runs), frame(attributions).query("metric == 'cosine'")))


# runs without a result


def failed_runs():
    """Of four points of ecq: one fine, one that failed in two ways, one diverged, one skipped."""
    reason = "ValueError: codes: expected |code| <= 7,\n  got 9"
    rows = [run("ecq", "lam~0", seed, 0.9, 400, p_lam=0.0) for seed in (0, 1, 2)]
    rows += [gone("ecq", "lam~1", seed, "failed") | {"reason": reason} for seed in (2, 0)]
    rows += [gone("ecq", "lam~1", 1, "failed") | {"reason": "x" * 300}]
    rows += [gone("ecq", "lam~2", 0) | {"p_lam": 2.0}]
    rows += [gone("ecq", "lam~3", 0, "skipped") | {"reason": "no __init__ for it"}]
    rows += [run("uniform", "bits~4", seed, 0.9, 800) for seed in (0, 1, 2)]
    return frame(rows)


def test_failures_are_grouped_over_the_seeds_that_ended_alike():
    runs = failed_runs()
    table = failures.build(Collected(runs))
    assert table["point"].tolist() == ["lam~1", "lam~1", "lam~2", "lam~3"]
    assert table["status"].tolist() == ["failed", "failed", "diverged", "skipped"]
    first = table[table["reason"].str.startswith("ValueError")].iloc[0]
    assert (first["seeds"], first["count"], first["runs"]) == ("0 2", 2, 3)
    text = rendering.to_markdown(failures.document(table))
    assert "ValueError: codes: expected \\|code\\| \\<= 7, got 9" in text and "| 2 of 3" in text
    assert "x" * 121 not in text and table["reason"].str.len().max() == 300
    assert "no \\_\\_init\\_\\_ for it" in text
    old = failures.build(Collected(runs.drop(columns="reason")))
    assert old["seeds"].tolist() == ["0 1 2", "0", "0"] and set(old["reason"]) == {""}
    assert "| – " in rendering.to_markdown(failures.document(old))


def test_bytes_by_part_of_the_smallest_and_the_largest_point():
    runs = two_fronts()
    with pytest.raises(Unavailable, match="no bytes by part"):
        parts.build(Collected(runs))
    shares = {"weights": 0.6, "vectors": 0.2, "exact": 0.0, "names": 0.05, "header": 0.15}
    for part, share in shares.items():
        runs[f"bytes_{part}"] = share * runs["size_bytes"]
    runs.loc[(runs["method"] == "b") & (runs["point"] == "p~1"), "status"] = "failed"
    table = parts.build(Collected(runs))
    assert table[["method", "point"]].to_numpy().tolist() == [
        ["a", "p~0"], ["a", "p~2"], ["b", "p~0"]
    ]  # fmt: skip
    first = table.iloc[0]
    assert (first["weights"], first["rest"], first["n"], first["seeds"]) == (60, 40, 3, 3)
    assert first["bound"] == runs["size_fp32_bytes"].iloc[0] / 40
    text = rendering.to_markdown(parts.document(table))
    assert "| 60 " in text and "| 40 " in text


def test_without_failures_the_table_says_so():
    table = failures.build(Collected(two_fronts()))
    assert table.empty and "reason" in table
    assert failures.NO_FAILURES in rendering.to_markdown(failures.document(table))
    assert failures.NO_FAILURES in latex.to_appendix([failures.document(table)])


def test_failed_runs_are_counted_beside_diverged_and_skipped_ones():
    collected = Collected(failed_runs())
    counts = ["runs", "diverged", "skipped", "failed"]
    expected = [8, 1, 1, 3]
    for table in (
        chosen.summary(collected), chosen.smallest(collected), chosen.operating_points(collected),
        costs.build(collected), hypervolume.build(collected),
    ):  # fmt: skip
        assert table.loc[table["method"] == "ecq", counts].iloc[0].tolist() == expected
    points = statistics.aggregate_points(collected.runs).set_index("point")
    assert points.loc["lam~1", ["ok", *counts, "complete"]].tolist() == [0, 3, 0, 0, 3, False]
    for document in (
        chosen.summary_document(chosen.summary(collected)),
        chosen.operating_points_document(chosen.operating_points(collected)),
        costs.document(costs.build(collected)),
    ):
        assert "1 of 8 (1 skipped, 3 failed)" in rendering.to_markdown(document)
    text = rendering.to_markdown(hypervolume.document(hypervolume.build(collected)))
    assert "1 of 8 (3 failed)" in text


def test_full_precision_is_known_from_other_runs_of_the_seed():
    """A failed run may lack it, and may come first."""
    runs = two_fronts()
    lost = frame([gone("a", "p~9", seed, "failed") for seed in (0, 1, 2)])
    lost[["accuracy_fp32", "size_fp32_bytes"]] = NAN
    expected = equal_size.build(Collected(runs))
    table = equal_size.build(Collected(pd.concat([lost, runs], ignore_index=True)))
    pd.testing.assert_frame_equal(table, expected)


def test_matching_passes_over_failed_runs_without_parameters():
    runs, maps = matched()
    lost = [gone(method, f"x~{n}", 0, "failed") for method in ("uniform", "wcam") for n in (0, 1)]
    table = matching.build(Collected(pd.concat([runs, frame(lost)], ignore_index=True), maps))
    pd.testing.assert_frame_equal(table, matching.build(Collected(runs, maps)))


def test_published_values_stand_beside_the_best_here():
    runs = points_runs().assign(method=lambda rows: rows["method"].replace("ecq", "ecqx"))
    table = published.build(Collected(runs))
    row = table.set_index("criterion").loc["no_degradation"]
    assert row["published"] == 103 and row["status"] == "verified"
    # seed 0 chooses the smallest, seed 1 the one of 400 bytes
    assert row["measured_geomean"] == pytest.approx((FULL / 100 * FULL / 400) ** 0.5)
    with pytest.raises(Unavailable):
        published.build(Collected(points_runs()))


def test_unverified_published_values_are_marked():
    entry = published.PUBLISHED[0]._replace(status=published.UNVERIFIED, method="ecq", value=99.0)
    table = published.build(Collected(points_runs()), (entry,))
    text = rendering.to_markdown(published.document(table))
    assert "99 (?)" in text and "unverified" in text
    verified = published.build(Collected(points_runs()), (entry._replace(status="verified"),))
    assert "(?)" not in rendering.to_markdown(published.document(verified))


def test_controls_of_ecqx_are_methods_of_their_own():
    rows, maps = [], []
    for source, accuracy in (("lrp", 0.6), ("shuffled", 0.8)):
        for seed in (0, 1):
            rows.append(run("ecqx", f"r~{source}", seed, accuracy, 100, p_relevance=source))
            maps.append(measure(rows[-1], "lrp", "cosine", accuracy))
    rows += [run("ecq", "lam~0", seed, 0.7, 100, p_relevance=NAN) for seed in (0, 1)]
    methods = [["ecqx", "relevance", "str", "variant", "lrp", None, None]]
    methods = pd.DataFrame(methods, columns=METHOD_COLUMNS)
    collected = Collected(frame(rows), frame(maps), methods=methods)
    assert set(collected.runs["method"]) == {"ecq", "ecqx", "ecqx, relevance shuffled"}
    table = equal_size.build(collected).set_index("method")
    assert table.loc["ecqx", "accuracy_mean"] == pytest.approx(0.6)
    assert table.loc["ecqx, relevance shuffled", "accuracy_mean"] == pytest.approx(0.8)


# planned contrasts


def contrasted():
    rows, maps = [], []
    for seed, more in ((0, 0.020), (1, 0.021), (2, 0.019)):
        for size in (100, 105, 110):
            level = 0.7 + size / 1000
            for method, above, pearson in (
                ("uniform", 0.0, 0.6), ("ecq", more, 0.5),
                ("ecqx", more + 0.0001 * (seed - 1), 0.5),
                ("wcam", 0.0, 0.7 + more), ("uniform_ptq", -0.3, 0.4), ("nncodec", -0.2, 0.4),
            ):  # fmt: skip
                trained = {} if method in ("uniform_ptq", "nncodec") else {"epoch": 1.0}
                rows.append(run(method, f"p~{size}", seed, level + above, size, **trained))
                for explainer, less in (("lrp", 0.0), ("grad_cam", 0.2)):
                    maps.append(measure(rows[-1], explainer, "pearson", pearson - less))
                    maps.append(measure(rows[-1], explainer, "cosine", 0.99))
    return frame(rows), frame(maps)


def test_contrasts_by_hand():
    table = contrasts.build(Collected(*contrasted()))
    names = [(row["method"], row["other"], row["measure"]) for row in table.to_dict("records")]
    assert names == [
        ("ecq", "uniform", "accuracy"), ("ecqx", "ecq", "accuracy"), ("ecqx", "ecq", "pearson"),
        ("wcam", "uniform", "pearson"), ("best trained", "best untrained", "accuracy"),
    ]  # fmt: skip
    ecq, ecqx, _, wcam, best = table.to_dict("records")
    assert ecq["difference_mean"] == pytest.approx(0.02) and ecq["values"] == "0.02 0.021 0.019"
    assert ecq["paired"] == "sizes" and ecq["ratio_least"] == 15 and ecq["ratio_most"] == 16
    assert ecq["verdict"] == "better" and ecq["p_equivalence"] > 0.95
    # differences of 0.0001 around 0: shown to be less than a point
    assert ecqx["verdict"] == "level" and ecqx["p_equivalence"] < 0.001
    assert 0 < ecqx["least_detectable"] < 0.01
    # of both explainers, at the points of the same size
    assert wcam["difference_mean"] == pytest.approx(0.12) and wcam["paired"] == "points"
    assert wcam["count"] == 3 and math.isnan(wcam["p_equivalence"])
    # ecq or ecqx, whichever is better on validation, against nncodec
    assert best["difference_mean"] == pytest.approx((0.22 + 0.221 + 0.2191) / 3)
    assert table["p_t_holm"].tolist() == pytest.approx(statistics.holm(table["p_t"]).tolist())
    text = rendering.to_markdown(contrasts.document(table))
    assert "+2.00 ± 0.25" in text and "{+2.00, +2.10, +1.90}" in text and "| level " in text


def test_the_best_is_chosen_on_validation():
    runs, maps = contrasted()
    # on validation data uniform is far ahead, on test data it is not
    lead = (runs["method"] == "uniform") * 0.5
    runs["accuracy_validation"] += lead
    table = contrasts.build(Collected(runs, maps)).set_index("method")
    assert table.loc["best trained", "difference_mean"] == pytest.approx(0.2)


def test_uniform_of_equal_compute_is_a_contrast_and_not_the_best():
    runs, _ = contrasted()
    longer = runs[runs["method"] == "uniform"].copy()
    longer[["accuracy", "accuracy_validation"]] += 0.1
    slow = longer.assign(point=longer["point"] + "_r~1", p_learning_rate=0.1, p_epochs_factor=3.0)
    longer = longer.assign(point=longer["point"] + "_f", p_epochs_factor=4.0)
    runs = pd.concat([runs, longer, slow], ignore_index=True)
    methods = [
        ["uniform", "epochs_factor", "int", "variant", "nan", None, "{} times the epochs"],
        ["uniform", "learning_rate", "float", "variant", "nan", None, "rate {}"],
    ]
    methods = pd.DataFrame(methods, columns=METHOD_COLUMNS)
    table = contrasts.build(Collected(runs, methods=methods))
    found = table.set_index(["method", "other"])["difference_mean"]
    assert found["ecqx", "uniform, 4 times the epochs"] == pytest.approx(-0.08)
    assert found["best trained", "best untrained"] == pytest.approx((0.22 + 0.221 + 0.2191) / 3)
    assert len(found) == 4


def test_planned_contrasts_with_the_rivals():
    runs, maps = contrasted()
    own = runs["method"].isin(["nncodec", "uniform_ptq", "ecqx"])
    rivals = {"nncodec": "cerwu", "uniform_ptq": "optq", "ecqx": "obs_relevance"}
    shuffled = runs["method"] == "ecq"
    runs = pd.concat(
        [
            runs,
            runs[own].assign(method=runs["method"].map(rivals), p_relevance="lrp"),
            runs[shuffled].assign(
                method="obs_relevance", p_relevance="shuffled", point=runs["point"] + "_s"
            ),
        ]
    )
    methods = [["obs_relevance", "relevance", "str", "variant", "lrp", None, "relevance {}"]]
    methods = pd.DataFrame(methods, columns=METHOD_COLUMNS)
    table = contrasts.build(Collected(runs, methods=methods))
    found = table.set_index(["method", "other"])["difference_mean"]
    assert found["optq", "uniform_ptq"] == found["cerwu", "nncodec"] == pytest.approx(0)
    assert found["cerwu", "optq"] == pytest.approx(0.1)
    assert found["obs_relevance", "cerwu"] == pytest.approx(0.22, abs=1e-3)
    control = "obs_relevance, relevance shuffled"
    assert found["obs_relevance", control] == pytest.approx(0, abs=1e-3)


def test_contrasts_need_a_planned_pair():
    runs, _ = contrasted()
    with pytest.raises(Unavailable, match="no two methods"):
        contrasts.build(Collected(runs[runs["method"] == "ecq"]))


def test_a_contrast_that_shows_nothing_stays_open():
    rows = []
    for seed, more in ((0, 0.05), (1, -0.04), (2, 0.02)):
        for size in (100, 110):
            rows += [run("uniform", f"p~{size}", seed, 0.8, size)]
            rows += [run("ecq", f"p~{size}", seed, 0.8 + more, size)]
    (row,) = contrasts.build(Collected(frame(rows))).to_dict("records")
    assert row["verdict"] == "open" and row["least_detectable"] > 0.05


# what each part adds


def test_ablation_by_hand():
    runs, maps = (table[table["method"].isin(["uniform", "ecq"])] for table in contrasted())
    parts = []
    for refine, distil, more in (("scales", 0.0, 0.01), ("none", 1.0, 0.02), ("scales", 1.0, 0.05)):
        part = runs[runs["method"] == "ecq"].assign(p_refine=refine, p_distil=distil)
        part[["accuracy", "accuracy_validation"]] += more
        parts.append(part.assign(point=f"{refine}_{distil}_" + part["point"]))
    methods = [
        ["ecq", "refine", "str", "variant", "none", None, "{} refined"],
        ["ecq", "distil", "float", "variant", "0", None, "distilled"],
    ]
    methods = pd.DataFrame(methods, columns=METHOD_COLUMNS)
    table = ablation.build(Collected(pd.concat([runs, *parts]), maps, methods=methods))
    accuracy = table[table["measure"] == "accuracy"].set_index(["part", "method", "other"])
    found = accuracy["difference_mean"].round(6).to_dict()
    both = "ecq, scales refined, distilled"
    assert found == {
        ("price of entropy", "ecq", "uniform"): 0.02,
        ("distilled", "ecq, distilled", "ecq"): 0.02,
        ("distilled", both, "ecq, scales refined"): 0.04,
        ("scales refined", "ecq, scales refined", "ecq"): 0.01,
        ("scales refined", both, "ecq, distilled"): 0.03,
    }
    # maps were measured of the methods without parts alone
    maps_of = table[table["measure"] == "pearson"].dropna(subset="difference_mean")
    assert maps_of["part"].tolist() == ["price of entropy"]
    assert maps_of["difference_mean"].tolist() == [pytest.approx(-0.1)]
    assert table["p_t_holm"].tolist() == pytest.approx(
        statistics.holm(table["p_t"]).tolist(), nan_ok=True
    )
    text = rendering.to_markdown(ablation.document(table))
    assert "| price of entropy " in text and "ECQ, scales refined, distilled" in text
    with pytest.raises(Unavailable, match="with and without"):
        ablation.build(Collected(runs[runs["method"] == "ecq"]))


# learning rates


def tuned():
    rows = []
    gains = {0.001: 0.02, 0.003: 0.01}
    for rate, gain in gains.items():
        for seed in (0, 1):
            for lam in (0.1, 0.3):
                rows.append(
                    run("ecq", f"lam~{lam}_rate~{rate}", seed, 0.8 - gain, 100, train_s=2.0,
                        accuracy_validation=0.85 + gain - lam / 100, p_lam=lam,
                        p_learning_rate=rate)
                )  # fmt: skip
    return rows


def test_learning_rates_are_chosen_on_validation():
    table = tuning.build(Collected(frame(tuned()))).set_index("learning_rate")
    assert table["chosen"].to_dict() == {0.001: True, 0.003: False}
    row = table.loc[0.001]
    assert row["validation_change_mean"] == pytest.approx(0.87 - 0.002 - 0.9)
    assert row["accuracy_change_mean"] == pytest.approx(0.78 - 0.9)  # the worse one on test data
    assert (row["points"], row["train_s"], row["cost"]) == (2, 8, 2)
    text = rendering.to_markdown(tuning.document(table.reset_index()))
    assert "| yes " in text and "2.0 times" in text


def test_points_that_diverged_with_one_rate_count_with_none():
    rows = tuned()
    rows[0] |= {"status": "diverged", "accuracy": NAN, "accuracy_validation": NAN}
    table = tuning.build(Collected(frame(rows))).set_index("learning_rate")
    assert table["points"].tolist() == [1, 1]
    assert table.loc[0.003, "validation_change_mean"] == pytest.approx(0.86 - 0.003 - 0.9)


def test_one_learning_rate_is_no_search():
    with pytest.raises(Unavailable, match="several learning rates"):
        tuning.build(Collected(frame([row for row in tuned() if row["p_learning_rate"] < 0.002])))
    with pytest.raises(Unavailable, match="several learning rates"):
        tuning.build(Collected(two_fronts()))


# faithfulness, and alignment with the function


def test_faithfulness_by_hand():
    """Two points of one method and an anchor, two seeds, against full precision of the seed."""
    gains = {"own": (0.5, 0.3), "on_reference": (0.2, 0.0), "reference_map": (0.1, 0.3)}
    pairs = {"own": ("own", "own"), "on_reference": ("reference", "own"),
             "reference_map": ("own", "reference")}  # fmt: skip
    rows = []
    for seed in (0, 1):
        networks = [
            ("identical", "anchor", (0.6 + 0.1 * seed,) * 3),
            ("retrained", "anchor", (0.7, 0.1, 0.1)),
        ]
        networks += [("ecq", f"lam~{i}", [values[i] for values in gains.values()]) for i in (0, 1)]
        rows += [
            {"dataset": "d", "model": "m", "method": method, "point": point, "seed": seed,
             "explainer": "grad_cam", "network": pairs[key][0], "map": pairs[key][1],
             "signed": signed, "mean": value if signed else 0.0, "std": 0.1, "n": 8}
            for method, point, values in networks
            for key, value in zip(gains, values, strict=True) for signed in (True, False)
        ]  # fmt: skip
    runs = frame([run("ecq", f"lam~{i}", seed, 0.9, 100 + i) for seed in (0, 1) for i in (0, 1)])
    table = faithfulness.build(Collected(runs, gains=frame(rows)))
    own = table[table["signed"].astype(bool)].set_index("method")
    means = {"reference": 0.65, "own": 0.4, "on_reference": 0.1, "reference_map": 0.2,
             "change": -0.25, "evidence": 0.2}  # fmt: skip
    for name, mean in means.items():
        assert own.loc["ecq", f"{name}_mean"] == pytest.approx(mean), name
        assert own.loc["ecq", f"{name}_n"] == 2
    # half of what the seeds differ by, times the t-quantile 12.706 of one degree, over root two
    assert own.loc["ecq", "change_half_width"] == pytest.approx(12.706 * 0.1 / 2, rel=1e-4)
    assert own.loc["retrained", "evidence_mean"] == pytest.approx(0.6)
    (section,) = faithfulness.document(table).sections
    assert [row[1] for row in section.rows] == ["Retrained", "ECQ"]
    assert section.rows[1][2].startswith("0.650 ±") and section.rows[1][6].startswith("-0.250 ±")
    with pytest.raises(Unavailable, match="faithfulness of maps was not measured"):
        faithfulness.build(Collected(runs))


def test_alignment_by_hand():
    """Ranks of four networks: alike in one seed, one pair of neighbors exchanged in the other."""
    similar = {0: (0.9, 0.8, 0.7, 0.6), 1: (0.9, 0.7, 0.8, 0.6)}
    runs, maps = [], []
    for seed in (0, 1):
        for i in range(4):
            runs.append(
                run("ecq", f"lam~{i}", seed, 0.9, 100 + i, logit_distance=1.0 + i, flips=0.1)
            )
            maps.append(measure(runs[-1], "grad_cam", "pearson", similar[seed][i]))
            maps.append(measure(runs[-1], "grad_cam", "cosine", 0.5))
        runs.append(gone("ecq", "lam~4", seed) | {"logit_distance": NAN, "flips": NAN})
    table = alignment.build(Collected(frame(runs), frame(maps))).set_index("change")
    # 1 - 6 sum d^2 / (n (n^2 - 1)), where d is 1 twice
    assert table.loc["logit_distance", "correlation_mean"] == pytest.approx((1 + 0.8) / 2)
    assert table.loc["logit_distance", "runs"] == 4
    # all networks flip alike: no order to agree with
    assert table.loc["flips", "correlation_n"] == 0
    (section,) = alignment.document(table.reset_index()).sections
    assert [row[1:] for row in section.rows] == [
        ["Distance of logits", "0.900 ± 1.271", "4"], ["Flips", "n/a", "4"]
    ]  # fmt: skip
    few = frame(runs)[frame(runs)["point"] != "lam~3"]
    known = frame(maps)[frame(maps)["point"] != "lam~3"]
    assert alignment.build(Collected(few, known))["correlation_n"].tolist() == [0, 0]
    with pytest.raises(Unavailable, match="distances of logits"):
        columns = ["logit_distance", "flips"]
        alignment.build(Collected(frame(runs).drop(columns=columns), frame(maps)))
