import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from matplotlib import cbook
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.results import keys, latex, metrics, rendering, style, tables
from ecqx.results.collected import Collected
from ecqx.results.tables import chosen

COLUMN = 240.0  # points, of a page of two columns
ROOT = Path(__file__).parents[3]
HEAD = r"""\documentclass[twocolumn]{article}
\usepackage{booktabs, graphicx}
\begin{document}
"""


def summarised(runs):
    return chosen.summary(Collected(runs))


def markdown(table):
    return rendering.to_markdown(chosen.summary_document(table))


def appendix(table):
    return latex.to_appendix([chosen.summary_document(table)])


def hand_made():
    """Two seeds; full precision 0.90 and 0.92, on validation data as on test data."""
    rows = []

    def add(method, point, sizes, accuracies, status=("ok", "ok"), validation=None):
        for seed in (0, 1):
            rows.append(
                {
                    "dataset": "toy_set", "model": "net", "method": method, "point": point,
                    "seed": seed, "bits": 4.0, "status": status[seed],
                    "accuracy": accuracies[seed], "accuracy_fp32": (0.90, 0.92)[seed],
                    "accuracy_validation": validation[seed] if validation else accuracies[seed],
                    "accuracy_validation_fp32": (0.90, 0.92)[seed],
                    "size_bytes": sizes[seed], "size_fp32_bytes": 10_000,
                    "compression_ratio": 10_000 / sizes[seed], "sparsity": 0.5,
                    "entropy_bytes": 0.9 * sizes[seed], "train_s": 1.0,
                }
            )  # fmt: skip

    add("ecq", "lam~0", (4000, 4200), (0.91, 0.93))  # best
    add("ecq", "lam~1", (2000, 2200), (0.89, 0.91))  # exactly one point below
    add("ecq", "lam~2", (1000, 1200), (0.88, 0.90))  # two points below
    # Good on test data, which does not choose.
    add("ecq", "lam~3", (500, 500), (0.91, 0.93), validation=(0.7, 0.7))
    add("ecq", "lam~4", (400, math.nan), (0.5, math.nan), ("ok", "diverged"))
    add("zero", "a_b~1", (300, 300), (0.5, 0.5))
    return pd.DataFrame(rows)


def test_summary_of_a_hand_worked_case():
    table = summarised(hand_made())
    ecq = table[table["method"] == "ecq"].set_index("criterion")
    assert ecq["points"].to_dict() == {
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
    assert row["compression_ratio_geomean"] == pytest.approx(10_000 / (2000 * 2200) ** 0.5)
    assert row["accuracy_change_values"] == "-0.01 -0.01"
    assert (row["n"], row["runs"], row["diverged"], row["skipped"]) == (2, 10, 1, 0)
    reference = table.iloc[0]
    assert reference["method"] == chosen.REFERENCE and reference["n"] == 2
    assert reference["accuracy_mean"] == pytest.approx(0.91)
    assert reference["size_bytes_mean"] == 10_000


def test_a_method_that_reaches_no_criterion_says_none():
    table = summarised(hand_made())
    zero = table[table["method"] == "zero"].set_index("criterion")
    assert zero["points"].to_dict() == {
        "best_accuracy": "a_b~1",
        "within_1_point": "none",
        "within_2_points": "none",
    }
    assert zero.loc["within_1_point", "n"] == 0
    assert math.isnan(zero.loc["within_1_point", "size_bytes_mean"])
    assert "| none " in markdown(table)


def test_a_method_with_nothing_but_diverged_runs_stays_in_the_table(build_runs):
    runs = build_runs(
        tasks=[("digits", "residual_cnn")],
        methods=["uniform"],
        diverged={("digits", "uniform", step, seed) for step in range(4) for seed in range(3)},
    )
    table = summarised(runs)
    own = table[table["method"] == "uniform"]
    assert own["points"].tolist() == ["none"] * 3
    assert own["diverged"].tolist() == [12] * 3
    assert "12 of 12" in markdown(table)
    assert "12 of 12" in appendix(table)


def test_skipped_runs_are_counted(build_runs):
    runs = build_runs(tasks=[("digits", "residual_cnn")], methods=["uniform", "wcam"])
    runs.loc[runs["method"] == "wcam", "status"] = "skipped"
    table = summarised(runs)
    assert set(table.loc[table["method"] == "wcam", "skipped"]) == {12}
    assert "0 of 12 (12 skipped)" in markdown(table)


def test_one_seed_has_no_interval(build_runs):
    table = summarised(build_runs(seeds=(0,)))
    assert table["accuracy_half_width"].isna().all()
    assert "± n/a" in markdown(table)


def test_methods_come_in_the_order_of_the_legends(runs):
    order = summarised(runs)["method"].drop_duplicates().tolist()
    assert order == ["full_precision", "uniform_ptq", "uniform", "ecq", "ecqx", "wcam", "nncodec"]


def test_markdown_has_every_row_and_number(runs):
    table = summarised(runs)
    text = markdown(table)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == len(table) + 2 * 3  # header and rule per task
    assert len({line.count("|") for line in lines}) == 1
    best = table[(table["method"] == "ecqx") & (table["criterion"] == "best_accuracy")].iloc[0]
    assert f"{best['accuracy_mean'] * 100:.2f} ± {best['accuracy_half_width'] * 100:.2f}" in text
    assert f"{best['size_bytes_mean'] / 1000:.2f} ±" in text


def test_latex_is_booktabs_and_escaped(runs):
    text = appendix(summarised(runs))
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 3
    body = re.sub(r"\\[A-Za-z]+(\[[^]]*\])?", "", text.replace("Table~", "Table "))
    for label in re.findall(r"\\label{([^}]*)}", text):
        assert re.fullmatch(r"[a-z:-]+", label)
    # Unescaped specials would end the cell or start mathematics.
    assert not re.search(r"(?<!\\)_", body)
    assert not re.search(r"(?<!\\)%(?! needs|\n)", body)
    assert "~" not in body and "±" not in body and "–" not in body
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {9}


def everything(runs, attributions):
    """All tables, of results that have all there is."""
    flips = 0.5 * (runs["accuracy_fp32"] - runs["accuracy"]).clip(lower=0)
    costs = runs["size_fp32_bytes"] + 1000.0 * runs["seed"]
    runs = runs.assign(
        flips=flips, peak_memory_bytes=costs, calibration_error=0.1, calibration_error_fp32=0.05
    )
    predictions = [
        {key: run[key] for key in ("dataset", "model", "method", "point", "seed", "accuracy_fp32")}
        | {
            "class": name,
            "n": 50 + run["seed"],
            "accuracy": run["accuracy"] - drop,
            "agreement": 0.9,
        }
        for run in runs[runs["status"] == "ok"].to_dict("records")
        for name, drop in (("seven_&_eight", 0.02), ("nine", 0.0))
    ]
    randomisation = [
        {"dataset": task[0], "model": task[1], "seed": seed, "explainer": "lrp",
         "layers_randomised": count, "layer": f"layer{count}", "metric": "cosine",
         "signed": signed, "mean": 1 / count + 0.01 * seed}
        for task in runs[["dataset", "model"]].drop_duplicates().itertuples(index=False)
        for seed in (0, 1, 2) for count in (1, 2, 3, 4) for signed in (True, False)
    ]  # fmt: skip
    # an index of concentration: full precision has 0.6, every network less
    gini = attributions[attributions["metric"] == "cosine"].assign(metric="gini")
    attributions = pd.concat([attributions, gini.assign(mean=0.6 * gini["mean"])])
    gains = [
        {key: row[key] for key in ("dataset", "model", "method", "point", "seed", "explainer")}
        | {"signed": row["signed"], "network": network, "map": source}
        | {"mean": 0.5 * row["mean"] + 0.1 * (network == source)}
        for row in gini.query("subset == 'all'").to_dict("records")
        for network, source in (("own", "own"), ("reference", "own"), ("own", "reference"))
    ]
    collected = Collected(
        runs, attributions, pd.DataFrame(predictions), pd.DataFrame(randomisation),
        gains=pd.DataFrame(gains),
    )  # fmt: skip
    return {made.name: made for made in tables.make_all(collected)}


@pytest.fixture(scope="module")
def made(runs, attributions):
    return everything(runs, attributions)


def test_every_table_is_made(made):
    assert list(made) == list(tables.TABLES)
    for table in made.values():
        # of a search and routes, which are not among these results; of what is measured since
        if table.name in ("tuning", "routes", "parts"):
            continue
        assert table.missing == "" and len(table.data), table.name
        assert table.markdown.startswith("# ") and "nan" not in table.markdown
        assert "nan" not in table.latex


def test_markdown_tables_are_even(made):
    for table in made.values():
        for block in table.markdown.split("\n\n"):
            lines = [line.replace("\\|", "") for line in block.splitlines()]
            if lines and lines[0].startswith("|"):
                assert len({line.count("|") for line in lines}) == 1, table.name


def test_names_cannot_strike_through_markdown(made):
    for table in made.values():
        assert not re.search(r"(?<!\\)~", table.markdown), table.name


def test_what_cannot_be_made_says_why(runs):
    without = {table.name: table for table in tables.make_all(Collected(runs))}
    assert list(without) == list(tables.TABLES)
    missing = {name for name, table in without.items() if table.missing}
    expected = {
        "tuning",
        "parts",
        "matching",
        "routes",
        "closeness",
        "metric_agreement",
        "complexity",
        "faithfulness",
        "alignment",
        "agreement",
        "classes",
        "sanity",
    }
    assert missing == expected
    for name in missing:
        assert without[name].missing in without[name].markdown
        assert without[name].missing in without[name].data["missing"].item()


def test_order_of_the_rows_of_the_results_changes_no_number(runs, attributions, made):
    order = runs.index[::-1]
    again = everything(runs.loc[order], attributions.sample(frac=1, random_state=1))
    for name, table in made.items():
        keys = [column for column in table.data if table.data[column].dtype.kind not in "fi"]
        keys += [c for c in ("ratio", "drop", "layers_randomised") if c in table.data]
        pd.testing.assert_frame_equal(
            table.data.sort_values(keys, ignore_index=True),
            again[name].data.sort_values(keys, ignore_index=True),
            rtol=1e-9,
        )


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.0001, "0.00"), (0.126, "+0.13"), (math.nan, "n/a"), (None, "n/a"), (-2, "-2.00")],
)
def test_numbers(value, text):
    assert rendering.number(value, signed=True) == text


def test_measures_tell_how_many_seeds_have_a_value():
    assert rendering.measure((0.5, 0.1, 3), seeds=3) == "0.50 ± 0.10"
    assert rendering.measure((0.5, 0.1, 2), 100, 1, seeds=3) == "50.0 ± 10.0 [2 of 3]"
    assert rendering.measure((0.5, math.nan, 1), seeds=3) == "0.50 ± n/a [1 of 3]"
    assert rendering.measure((math.nan, math.nan, 0), seeds=3) == "n/a"
    assert rendering.p_value(0.0004) == "<0.001" and rendering.p_value(0.04) == "0.040"
    assert "1 seed(s) only" in rendering.interval_note([3, 1])
    assert "only:" not in rendering.interval_note([3, 5])


def test_tall_tables_are_continued():
    rows = [[f"row {i}", str(i)] for i in range(100)]
    section = rendering.Section("many", ("Name", "Value"), rows, names=1)
    text = latex.to_appendix([rendering.Document("tall", "Tall", "Note.", [section])])
    assert text.count(r"\begin{table*}") == 3 and text.count("(continued)") == 2
    assert text.count("Note.") == 1
    assert len(set(re.findall(r"\\label{([^}]*)}", text))) == 3
    for i in range(100):
        assert text.count(f"row {i} & {i} ") == 1


def set_in(text, size):
    """Points that a text takes in Computer Modern, of which matplotlib has one size."""
    plain = re.sub(r"\\(text\w+|multicolumn\{\d+\}\{l\})|[\\{}$]", "", text.replace("pm", "±"))
    if not plain.strip():
        return 0.0
    font = FontProperties(fname=cbook._get_data_path("fonts/ttf/cmr10.ttf"), size=size)
    width = TextPath((0, 0), plain, prop=font).get_extents().width
    return width * (1.14 if size < 8 else 1)  # the letters of small sizes are wider


def test_a_table_for_a_column_fits_it_with_a_caption_of_three_lines(made):
    for table in made.values():
        (caption,) = re.findall(r"\\caption{(.*)}\n", table.latex) or [""]
        # a word that does not fit leaves the rest of its line empty
        assert set_in(f"Table 10: {caption}", 10) < 3 * 0.93 * COLUMN, table.name
        rows = [line[:-2] for line in table.latex.splitlines() if line.endswith(r"\\")]
        assert len(rows) <= 34, table.name  # names of sections and headers included
        cells = [row.split(" & ") for row in rows if not row.startswith(r"\multicolumn")]
        count = max(map(len, cells), default=0)
        widths = [max(set_in(row[k], 7) for row in cells if k < len(row)) for k in range(count)]
        assert sum(widths) + 6 * count < 1.15 * COLUMN, table.name  # what is wider is shrunk


def test_a_table_for_a_column_has_the_rows_that_its_caption_names(made):
    summary = made["summary"]
    rows = [line.split(" & ") for line in summary.latex.splitlines() if line.endswith(r"\\")]
    ecq = next(row for row in rows if row[0] == "ECQ")
    chosen_here = summary.data[
        (summary.data["method"] == "ecq") & (summary.data["criterion"] == "within_1_point")
    ].iloc[0]
    assert ecq[-1].startswith(f"{chosen_here['compression_ratio_geomean']:.1f} (")
    everything_else = latex.to_appendix([summary.document])
    assert everything_else.count(r"\begin{table*}") == 3 and r"\begin{table}" in summary.latex


def test_each_section_gives_as_many_of_its_first_rows():
    sections = [
        rendering.section(
            title, ("Kind", "Name", "Value"), [["a", f"{title}{i}", "1"] for i in range(30)], 2, 1
        )
        for title in ("x", "y")
    ]
    document = rendering.Document("long", "Long", "Note.", sections)
    brief = latex.Brief("Odd ones.", ("Name", "Value"), lambda row: row["Name"][-1] in "13579")
    text = latex.to_column(document, brief)
    assert re.findall(r"([xy]\d+) & 1", text) == [
        f"{title}{i}" for title in "xy" for i in range(1, 25, 2)
    ]
    assert "Note." not in text and text.count("Value") == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(made, tmp_path):
    labels = {"explainer": EXPLAINERS, "metric": metrics.measured()}
    names = [[style.label(name), kind] for kind, known in labels.items() for name in known]
    names += [["50 % & #1 $x$ {a} \\b a^b c~d < > | -1 ± × – ≥", "odd"]]
    section = rendering.Section("names", ("Name", "Kind"), names, names=2)
    documents = [table.latex for table in made.values()]
    documents.append(latex.to_appendix(table.document for table in made.values()))
    document = rendering.Document("names", "Names", "All.", [section])
    documents.append(latex.to_column(document, latex.Brief("Names")))
    document = HEAD + "\n\\clearpage\n".join(documents) + r"\end{document}"
    (tmp_path / "t.tex").write_text(document, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in done.stdout
    assert "multiply defined" not in done.stdout
    wide = [float(points) for points in re.findall(r"Overfull .hbox \((.*?)pt", done.stdout)]
    assert max(wide, default=0) < 10  # a caption's word, but no table


def test_tables_and_comparison_need_no_torch():
    code = (
        "import sys, ecqx.results.tables, ecqx.results.compare, ecqx.results.files;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_all_tables_are_declared_and_captioned():
    assert list(keys.TABLES) == list(tables.TABLES)
    assert not set(keys.TABLES) & set(keys.COLLECTED)  # the files they are made of
    for name in keys.TABLES:
        assert (ROOT / f"workflow/report/{name}.rst").is_file()
