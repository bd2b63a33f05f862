"""Results of several folders as one."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ecqx.compression.declared import Declared
from ecqx.evaluation.measures import long_table
from ecqx.results import collected, merge, merging, provenance, samples
from ecqx.results.tables import coverage

ORIGIN = {"versions": {"torch": "2.11.0"}, "git": "abc", "device": "cpu"}
ROOT = Path(__file__).parents[3]


def leave(folder, runs, attributions=None, origin=ORIGIN, config="seeds: [0]\n", **versions):
    """A folder as the workflow leaves it."""
    (folder / "tables").mkdir(parents=True)
    runs.to_csv(folder / "tables/runs.csv", index=False)
    if attributions is not None:
        attributions.to_csv(folder / "tables/attributions.csv.gz", index=False)
    known = provenance.of_records([origin] * len(runs), {"ecq": Declared("ECQ: entropy", "E", "")})
    provenance.Provenance(**vars(known) | versions).write(folder)
    (folder / "config.yaml").write_text(config)
    return folder


@pytest.fixture(scope="module")
def whole(build_runs):
    return build_runs(methods=["ecq", "uniform"], seeds=(0, 1))


def of(runs, **values):
    kept = pd.Series(True, index=runs.index)
    for column, value in values.items():
        kept &= runs[column] == value
    return runs[kept]


def test_parts_of_results_give_the_whole(whole, build_attributions, tmp_path):
    attributions = build_attributions(whole)
    first, second = whole.index % 3 < 2, whole.index % 3 > 0  # a third of the runs is in both
    anchors = attributions["method"].isin(["identical", "retrained", "random"])
    parts = []
    for name, chosen in (("a", first), ("b", second)):
        own = attributions.merge(whole.loc[chosen, collected.statistics.RUN])
        own = pd.concat([attributions[anchors], own])
        parts.append(leave(tmp_path / name, whole[chosen], own))
    merged = merging.merge([merging.read(part) for part in parts])
    merged.write(tmp_path / "c")
    found = pd.read_csv(tmp_path / "c/tables/runs.csv", float_precision="round_trip")
    order = collected.statistics.RUN
    pd.testing.assert_frame_equal(
        found.sort_values(order, ignore_index=True),
        whole.sort_values(order, ignore_index=True),
        check_column_type=False,
        check_dtype=False,
    )
    measures = pd.read_csv(tmp_path / "c/tables/attributions.csv")
    assert len(measures) == len(attributions)
    assert merged.repeated == (first & second).sum()
    count = int(first.sum() + second.sum())
    assert provenance.read(tmp_path / "c").origins == [ORIGIN | {"runs": count}]
    assert (tmp_path / "c/config.yaml").read_text() == "seeds: [0]\n"
    assert provenance.looks(tmp_path / "c") == {"ecq": {"label": "E"}}


def test_samples_of_each_run_come_once(whole, tmp_path):
    """Runs that both have are those of the first; a folder without samples has none to give."""
    chosen = [whole[whole.index % 3 < 2], whole[whole.index % 3 > 0], whole]
    folders = [leave(tmp_path / name, runs) for name, runs in zip("abc", chosen, strict=True)]
    for folder, runs, sign in zip(folders[:2], chosen, (1, -1), strict=False):
        parts = []
        for run in runs[collected.statistics.RUN].to_dict("records"):
            columns = {"sample": np.array([5, 7]), "target": np.array([1, 2])}
            labels = [{"explainer": "lrp", "network": "own", "map": "own", "signed": True}]
            columns = long_table(columns, labels, [torch.tensor([0.25 * sign, math.nan])])
            parts.append(samples.table_of("gains", run, columns))
        samples.write(folder / "tables/gains.parquet", "gains", parts)
    merging.merge([merging.read(folder) for folder in folders]).write(tmp_path / "d")
    found = pd.read_parquet(tmp_path / "d/tables/gains.parquet")
    assert not (tmp_path / "d/tables/attributions.parquet").exists()
    assert len(found) == 2 * len(whole)
    assert found["value"].isna().sum() == len(whole)
    first = found[found["value"] == 0.25]
    assert len(first) == len(chosen[0]) and (first["sample"] == 5).all()
    known = chosen[0][collected.statistics.RUN].merge(first.astype({"seed": int}))
    assert len(known) == len(chosen[0])


def test_another_order_gives_the_same_rows(whole, tmp_path):
    a = leave(tmp_path / "a", of(whole, method="ecq"))
    b = leave(tmp_path / "b", of(whole, method="uniform"), config="seeds: [1]\n")
    one, other = (
        merging.merge([merging.read(p) for p in parts]) for parts in ((a, b), (b, a))
    )  # fmt: skip
    rows = [set(m.tables["runs"][sorted(m.tables["runs"])].itertuples(index=False, name=None))
            for m in (one, other)]  # fmt: skip
    assert rows[0] == rows[1] and len(rows[0]) == len(whole)
    one.write(tmp_path / "c")
    texts = [(tmp_path / f"c/config-{k}.yaml").read_text() for k in (1, 2)]
    assert texts == ["seeds: [0]\n", "seeds: [1]\n"]


def test_a_task_that_one_lacks_is_shown_as_missing(whole, build_attributions, tmp_path, capsys):
    a = leave(tmp_path / "a", of(whole, method="ecq"), build_attributions(of(whole, method="ecq")))
    few = of(whole, method="uniform", dataset="digits")
    b = leave(tmp_path / "b", few, build_attributions(few))
    # what both have is what they measured of full precision itself: alike, and taken once
    assert merge.main([str(a), str(b), "--into", str(tmp_path / "c")]) == 0
    told = capsys.readouterr().out
    assert "missing: uniform on cluttered_digits/small_vgg" in told
    assert "missing: uniform on digits" not in told and "missing: ecq" not in told
    table = coverage.build(collected.read(tmp_path / "c"))
    assert of(table, method="uniform")["runs"].tolist() == [8, 0, 0]
    text = (tmp_path / "c/tables/coverage.md").read_text()
    assert "| 4 × 2 " in text and "| missing" in text
    assert "</html>" in (tmp_path / "c/page.html").read_text()
    assert "Uniform" in (tmp_path / "c/tables/summary.md").read_text()


def test_costs_of_another_machine_are_no_difference(whole, tmp_path):
    a = leave(tmp_path / "a", whole.assign(train_s=1.0))
    b = leave(tmp_path / "b", whole.assign(train_s=2.0), origin=ORIGIN | {"device": "cuda"})
    merged = merging.merge([merging.read(a), merging.read(b)])
    assert set(merged.tables["runs"]["train_s"]) == {"1.0"}
    assert [o["device"] for o in merged.provenance.origins] == ["cpu", "cuda"]


def changed(column, value):
    def change(runs):
        return runs.assign(**{column: runs[column].where(runs.index != runs.index[3], value)})

    return change


@pytest.mark.parametrize(
    ("change", "versions", "told"),
    [
        (changed("accuracy", 0.5), {}, r"runs: digits/.*: accuracy is .* expected the same \(1 "),
        (changed("status", "failed"), {}, "status is ok in .*a and failed in .*b"),
        (lambda r: r.assign(accuracy_fp32=0.5), {}, "runs: digits/residual_cnn/.*: accuracy_fp32"),
        (lambda r: r, {"benchmark": 2}, "b: benchmark version 2, that of .*a is 1"),
        (lambda r: r, {"schema": 7}, "b: schema version 7"),
    ],
)
def test_what_does_not_belong_together_is_refused(whole, tmp_path, capsys, change, versions, told):
    parts = [leave(tmp_path / "a", whole), leave(tmp_path / "b", change(whole), **versions)]
    into = tmp_path / "c"
    assert merge.main([*map(str, parts), "--into", str(into)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert re.search(told, message), message
    assert not into.exists()


def test_folders_that_are_none_are_named(whole, tmp_path, capsys):
    a = leave(tmp_path / "a", whole)
    old = leave(tmp_path / "old", whole)
    (old / "provenance.json").unlink()
    broken = leave(tmp_path / "broken", whole)
    (broken / "provenance.json").write_text(json.dumps({"benchmark": 1, "colour": "red"}))
    (tmp_path / "empty").mkdir()
    for other, told in (
        ("old", "no provenance.json"),
        ("broken", "says nothing of where"),
        ("empty", "no runs.csv"),
    ):
        assert merge.main([str(a), str(tmp_path / other), "--into", str(tmp_path / "c")]) == 2
        assert told in capsys.readouterr().err
    assert merge.main([str(a), str(a), "--into", str(a)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_results_are_read_and_merged_without_torch(whole, build_attributions, tmp_path):
    parts = []
    for method in ("ecq", "uniform"):
        own = of(whole, method=method)
        parts.append(str(leave(tmp_path / method, own, build_attributions(own))))
    blocked = ["torch", "torchvision", "torchaudio", "zennit", "nncodec", "numba", "soundfile",
               "sklearn", "safetensors", "snakemake"]  # fmt: skip
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked}))\n"  # None: cannot be imported
        "import ecqx\nfrom ecqx.results import figures, merge\n"
        "try:\n    ecqx.compress\nexcept ImportError as error:\n"
        "    assert 'ecqx[compression]' in str(error)\nelse:\n    raise AssertionError\n"
        f"assert merge.main({[*parts, '--into', str(tmp_path / 'c')]}) == 0\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
    assert (tmp_path / "c/page.html").is_file()
