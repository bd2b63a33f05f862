import math
import re
import shutil
import subprocess

import pandas as pd
import pytest

from ecqx.results import tables


def hand_made():
    """Two seeds; full precision 0.90 and 0.92, so 1 point below the mean is 0.90."""
    rows = []

    def add(method, point, sizes, accuracies, status=("ok", "ok")):
        for seed in (0, 1):
            rows.append(
                {
                    "dataset": "toy_set", "model": "net", "method": method, "point": point,
                    "seed": seed, "bits": 4.0, "status": status[seed],
                    "accuracy": accuracies[seed], "accuracy_fp32": (0.90, 0.92)[seed],
                    "size_bytes": sizes[seed], "size_fp32_bytes": 10_000,
                    "compression_ratio": 10_000 / sizes[seed], "sparsity": 0.5,
                    "entropy_bytes": 0.9 * sizes[seed], "train_s": 1.0,
                }
            )  # fmt: skip

    add("ecq", "lam~0", (4000, 4200), (0.91, 0.93))  # best
    add("ecq", "lam~1", (2000, 2200), (0.90, 0.90))  # exactly one point below
    add("ecq", "lam~2", (1000, 1200), (0.88, 0.90))  # two points below
    # Seed 0 alone would qualify for two points: the mean does not.
    add("ecq", "lam~3", (500, 500), (0.89, 0.80))
    # Smallest, and good where it survived, but one seed diverged.
    add("ecq", "lam~4", (400, math.nan), (0.95, math.nan), ("ok", "diverged"))
    add("zero", "a_b~1", (300, 300), (0.5, 0.5))
    return pd.DataFrame(rows)


def test_summary_of_a_hand_worked_case():
    table = tables.summary(hand_made())
    ecq = table[table["method"] == "ecq"].set_index("criterion")
    assert ecq["point"].to_dict() == {
        "best_accuracy": "lam~0",
        "within_1_point": "lam~1",
        "within_2_points": "lam~2",
    }
    row = ecq.loc["within_1_point"]
    assert row["accuracy_mean"] == pytest.approx(0.90)
    assert row["accuracy_change_mean"] == pytest.approx(-0.01)
    assert row["size_bytes_mean"] == 2100
    # t(0.975, 1) = 12.7062, standard deviation 141.42, n = 2: 12.7062 * 100
    assert row["size_bytes_half_width"] == pytest.approx(1270.62, abs=0.01)
    assert row["compression_ratio_mean"] == pytest.approx((10_000 / 2000 + 10_000 / 2200) / 2)
    assert (row["n"], row["runs"], row["diverged"], row["skipped"]) == (2, 10, 1, 0)
    reference = table.iloc[0]
    assert reference["method"] == tables.REFERENCE and reference["n"] == 2
    assert reference["accuracy_mean"] == pytest.approx(0.91)
    assert reference["size_bytes_mean"] == 10_000


def test_a_method_that_reaches_no_criterion_says_none():
    table = tables.summary(hand_made())
    zero = table[table["method"] == "zero"].set_index("criterion")
    assert zero["point"].to_dict() == {
        "best_accuracy": "a_b~1",
        "within_1_point": "none",
        "within_2_points": "none",
    }
    assert zero.loc["within_1_point", "n"] == 0
    assert math.isnan(zero.loc["within_1_point", "size_bytes_mean"])
    assert "| none " in tables.to_markdown(table)


def test_a_method_with_nothing_but_diverged_runs_stays_in_the_table(build_runs):
    runs = build_runs(
        tasks=[("digits", "residual_cnn")],
        methods=["uniform"],
        diverged={("digits", "uniform", step, seed) for step in range(4) for seed in range(3)},
    )
    table = tables.summary(runs)
    own = table[table["method"] == "uniform"]
    assert own["point"].tolist() == ["none"] * 3
    assert own["diverged"].tolist() == [12] * 3
    assert "12 of 12" in tables.to_markdown(table)
    assert "12 of 12" in tables.to_latex(table)


def test_skipped_runs_are_counted(build_runs):
    runs = build_runs(tasks=[("digits", "residual_cnn")], methods=["uniform", "wcam"])
    runs.loc[runs["method"] == "wcam", "status"] = "skipped"
    table = tables.summary(runs)
    assert set(table.loc[table["method"] == "wcam", "skipped"]) == {12}
    assert "0 of 12 (12 skipped)" in tables.to_markdown(table)


def test_one_seed_has_no_interval(build_runs):
    table = tables.summary(build_runs(seeds=(0,)))
    assert table["accuracy_half_width"].isna().all()
    assert "± n/a" in tables.to_markdown(table)


def test_methods_come_in_the_order_of_the_legends(runs):
    order = tables.summary(runs)["method"].drop_duplicates().tolist()
    assert order == ["full_precision", "uniform_ptq", "uniform", "ecq", "ecqx", "wcam", "nncodec"]


def test_markdown_has_every_row_and_number(runs):
    table = tables.summary(runs)
    text = tables.to_markdown(table)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == len(table) + 2 * 3  # header and rule per task
    assert len({line.count("|") for line in lines}) == 1
    best = table[(table["method"] == "ecqx") & (table["criterion"] == "best_accuracy")].iloc[0]
    assert f"{best['accuracy_mean'] * 100:.2f} ± {best['accuracy_half_width'] * 100:.2f}" in text
    assert f"{best['size_bytes_mean'] / 1000:.2f} ±" in text


def test_latex_is_booktabs_and_escaped(runs):
    text = tables.to_latex(tables.summary(runs))
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 3
    body = re.sub(r"\\[A-Za-z]+(\[[^]]*\])?", "", text)
    for label in re.findall(r"\\label{([^}]*)}", text):
        assert re.fullmatch(r"[a-z:-]+", label)
    # Unescaped specials would end the cell or start mathematics.
    assert not re.search(r"(?<!\\)_", body)
    assert not re.search(r"(?<!\\)%(?! needs)", body)
    assert "~" not in body and "±" not in body and "–" not in body
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {9}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(runs, tmp_path):
    document = "\n".join(
        [
            r"\documentclass[twocolumn]{article}",
            r"\usepackage{booktabs}",
            r"\begin{document}",
            tables.to_latex(tables.summary(runs)),
            r"\end{document}",
        ]
    )
    (tmp_path / "t.tex").write_text(document)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:]
