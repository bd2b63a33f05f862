import itertools

import numpy as np
import pandas as pd
import pytest

from ecqx.results import controls


def table(accuracy, sizes=None, seeds=(0, 1, 2), lams=(0.1, 0.2, 0.4)):
    """Runs of ECQ and of ECQx with two sources; accuracy is a function of (source, lam, seed)."""
    rows = []
    for source, lam, seed in itertools.product((None, "lrp", "shuffled"), lams, seeds):
        size = 1000.0 / lam if sizes is None else sizes(source, lam, seed)
        rows.append(
            {
                "dataset": "d",
                "model": "m",
                "method": "ecqx" if source else "ecq",
                "point": f"{source}-{lam}",
                "seed": seed,
                "bits": 4,
                "status": "ok",
                "accuracy": accuracy(source, lam, seed),
                "accuracy_validation": accuracy(source, lam, seed),
                "size_bytes": size,
                "p_lam": lam,
                "p_relevance": source if source else np.nan,
            }
        )
    return pd.DataFrame(rows)


def cell(found, against, lam):
    rows = found[(found["against"] == against) & (found["p_lam"] == lam)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_differences_are_paired_by_seed():
    """The seeds differ widely, LRP beats its shuffled values by 0.01 in each: no spread is left."""
    gain = {"lrp": 0.01, "shuffled": 0.0, None: 0.02}
    found = controls.paired_differences(
        table(lambda source, lam, seed: 0.5 + 0.1 * seed + gain[source])
    )
    row = cell(found, "shuffled", 0.2)
    assert row["accuracy_difference_mean"] == pytest.approx(0.01)
    assert row["accuracy_difference_half_width"] == pytest.approx(0, abs=1e-12)
    assert row["accuracy_difference_n"] == 3
    row = cell(found, "none (ECQ)", 0.2)
    assert row["accuracy_difference_mean"] == pytest.approx(-0.01)
    assert row["size_ratio_geomean"] == 1


def test_matched_sizes_take_out_what_size_explains():
    """Accuracy is the same function of log size for both; LRP just spends more bytes."""

    def size(source, lam, seed):
        return (1.1 if source == "lrp" else 1.0) * 1000 / lam

    runs = table(lambda source, lam, seed: 0.1 * np.log(size(source, lam, seed)), sizes=size)
    found = controls.paired_differences(runs)
    row = cell(found, "shuffled", 0.2)
    assert row["accuracy_difference_mean"] == pytest.approx(0.1 * np.log(1.1))
    assert row["matched_difference_mean"] == pytest.approx(0, abs=1e-12)
    assert row["size_ratio_geomean"] == pytest.approx(1.1)
    beyond = cell(found, "shuffled", 0.1)  # larger than any of the control: nothing to read off
    assert np.isnan(beyond["matched_difference_mean"]) and beyond["matched_difference_n"] == 0


def test_runs_without_a_result_lower_n():
    runs = table(lambda source, lam, seed: 0.5)
    lost = (runs["p_relevance"] == "shuffled") & (runs["p_lam"] == 0.2) & (runs["seed"] == 1)
    runs.loc[lost, "status"] = "diverged"
    row = cell(controls.paired_differences(runs), "shuffled", 0.2)
    assert row["accuracy_difference_n"] == 2
    assert cell(controls.paired_differences(runs), "shuffled", 0.4)["accuracy_difference_n"] == 3


def test_a_second_parameter_that_varies_is_refused():
    runs = table(lambda source, lam, seed: 0.5)
    with pytest.raises(ValueError, match="another parameter varies"):
        controls.paired_differences(pd.concat([runs, runs.assign(p_rho=4.0)]))


def test_nothing_to_compare():
    runs = table(lambda source, lam, seed: 0.5)
    with pytest.raises(ValueError, match="none of ecqx with relevance 'fisher'"):
        controls.paired_differences(runs, "fisher")
    with pytest.raises(ValueError, match="nothing to compare 'lrp' with"):
        controls.paired_differences(runs[runs["p_relevance"] == "lrp"])


def test_markdown_shows_every_row():
    found = controls.paired_differences(table(lambda source, lam, seed: 0.5 + 0.01 * seed))
    text = controls.to_markdown(found)
    assert text.count("| d / m |") == len(found)
    assert "n/a" not in text and "+0.0 ± 0.0" in text
