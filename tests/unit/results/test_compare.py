import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ecqx.results import compare

ROOT = Path(__file__).parents[3]


def write(folder, runs, attributions=None, suffix=".csv"):
    folder.mkdir(parents=True, exist_ok=True)
    runs.to_csv(folder / f"runs{suffix}", index=False)
    if attributions is not None:
        attributions.to_csv(folder / f"attributions{suffix}", index=False)
    return str(folder)


def moved(comparison):
    rows = comparison.moved
    return {(row.method, row.point, row.quantity) for row in rows.itertuples()}


def test_the_same_results_do_not_differ(runs, attributions, tmp_path, capsys):
    one = write(tmp_path / "one/tables", runs, attributions, ".csv.gz")
    two = write(tmp_path / "two", runs.sample(frac=1, random_state=0), attributions)
    assert compare.main([str(Path(one).parent), two]) == compare.SAME
    out = capsys.readouterr().out
    assert "No difference." in out and "0 moved" in out


def test_what_moved_is_what_a_paired_test_says(runs):
    rng = np.random.default_rng(0)
    other = runs.assign(accuracy=runs["accuracy"] + 0.001 + 0.002 * rng.normal(size=len(runs)))
    found = moved(compare.compare(runs, other))
    expected = set()
    ok = runs["status"] == "ok"
    for (_, _, method, point), own in runs[ok].groupby(["dataset", "model", "method", "point"]):
        if len(own) > 1:
            test = stats.ttest_rel(other.loc[own.index, "accuracy"], own["accuracy"])
            if test.pvalue < 0.05:
                expected.add((method, point, "accuracy"))
    assert found == expected and expected


def test_a_move_is_told_with_its_numbers(runs, tmp_path, capsys):
    other = runs.copy()
    here = (other["method"] == "ecqx") & (other["dataset"] == "digits")
    here &= other["point"] == other.loc[here, "point"].iloc[0]
    other.loc[here, "accuracy"] += [0.010, 0.011, 0.012]
    status = compare.main([write(tmp_path / "a", runs), write(tmp_path / "b", other)])
    assert status == compare.DIFFERENT
    out = capsys.readouterr().out
    half_width = 4.302652729911275 * 0.001 / math.sqrt(3)
    (line,) = [line for line in out.splitlines() if line.startswith("| digits")]
    assert "| +0.011 " in line and f"| {half_width:.3g} " in line and "| accuracy " in line


def test_scatter_within_the_interval_is_no_move(runs):
    other = runs.copy()
    for _, own in runs.groupby(["dataset", "model", "method", "point"]):
        other.loc[own.index, "accuracy"] += np.array([-0.01, 0.0, 0.01])
    assert moved(compare.compare(runs, other)) == set()


def test_rounding_is_no_move(runs):
    other = runs.assign(accuracy=runs["accuracy"] * (1 + 1e-15))
    assert not compare.compare(runs, other).different


def test_a_difference_of_full_precision_is_told(runs):
    other = runs.assign(accuracy_fp32=runs["accuracy_fp32"] - 0.05)
    found = moved(compare.compare(runs, other))
    assert found == {("full_precision", "full_precision", "accuracy")}


def test_one_seed_gives_no_interval_and_any_difference_moves(runs):
    one = runs[runs["seed"] == 0]
    other = one.assign(size_bytes=one["size_bytes"] + 1)
    comparison = compare.compare(one, other)
    assert comparison.moved["half_width"].isna().all() and len(comparison.moved)
    assert "fewer than two common seeds" in compare.report(comparison, "a", "b")


def test_missing_runs_and_columns_and_other_ends_are_told(runs, attributions):
    other = runs[runs["method"] != "wcam"].reset_index(drop=True).assign(flips=0.1)
    first = other.index[other["status"] == "ok"][0]
    other.loc[first, "status"] = "diverged"
    fewer = attributions[(attributions["method"] != "wcam") & (attributions["metric"] != "ssim")]
    comparison = compare.compare(runs, other, attributions, fewer)
    missing = comparison.missing
    assert (missing["side"] == "B").sum() == (runs["method"] == "wcam").sum() + 1
    assert "metric ssim" in missing["what"].tolist()
    assert missing.loc[missing["side"] == "A", "what"].tolist() == ["column flips"]
    (row,) = comparison.statuses.to_dict("records")
    assert (row["status_a"], row["status_b"]) == ("ok", "diverged")
    assert len(comparison.moved) == 0 and comparison.different
    text = compare.report(comparison, "a", "b")
    assert "## Ended otherwise" in text and "## Missing in A" in text and "## Missing in B" in text
    assert "No difference." not in text


def test_attributions_of_one_side_alone_are_missing(runs, attributions):
    comparison = compare.compare(runs, runs, attributions_b=attributions)
    assert comparison.missing.to_dict("records") == [{"side": "A", "what": "attributions.csv"}]


def test_a_measure_that_moved_is_named(runs, attributions):
    other = attributions.copy()
    here = (other["metric"] == "cosine") & other["signed"] & (other["subset"] == "all")
    here &= (other["method"] == "retrained") & (other["dataset"] == "digits")
    other.loc[here & (other["explainer"] == "lrp_epsilon_plus_flat"), "mean"] += 0.1
    found = moved(compare.compare(runs, runs, attributions, other))
    assert found == {("retrained", "anchor", "lrp_epsilon_plus_flat cosine (all, signed)")}


def test_a_lost_measure_of_a_run_is_missing(runs, attributions):
    ok = attributions["method"] == "ecqx"
    lost = attributions.drop(index=attributions.index[ok][7])
    (row,) = compare.compare(runs, runs, attributions, lost).missing.to_dict("records")
    assert row["side"] == "B" and row["what"].startswith("measure ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no runs.csv"),
        ("", "No columns to parse"),
        ("dataset,model\n1,2\n", "B: runs: missing column"),
    ],
)
def test_what_cannot_be_read_ends_in_one_line(runs, tmp_path, capsys, content, message):
    one = write(tmp_path / "one", runs)
    (tmp_path / "two").mkdir()
    if content is not None:
        (tmp_path / "two/runs.csv").write_text(content)
    assert compare.main([one, str(tmp_path / "two")]) == compare.UNREADABLE
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_doubled_runs_are_refused(runs):
    with pytest.raises(ValueError, match="occurs twice"):
        compare.compare(runs, pd.concat([runs, runs.iloc[:1]]))


def test_as_a_command(runs, tmp_path):
    folder = write(tmp_path / "one", runs)
    done = subprocess.run(
        [sys.executable, "-m", "ecqx.results.compare", folder, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "no runs.csv" in done.stderr and "Traceback" not in done.stderr
