"""The real workflow in miniature, from nothing to figures, and what happens around it.

All that needs the smoke run is in this file, so that pytest-xdist gives it to one worker.
"""

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from pipeline.jobs import rows
from pipeline.planning import run_table

import ecqx
from ecqx import board
from ecqx.evaluation.calibration import calibration_error
from ecqx.results import provenance
from ecqx.tasks import data
from ecqx.tasks.scores import accuracy_score
from tests.workflow.conftest import SMOKE, job_counts

pytestmark = pytest.mark.slow

RUNS = "runs/digits/residual_cnn"

NEW_BASELINE = '''"""Rounds weights to multiples of a fixed step. For the test of the workflow."""

from dataclasses import dataclass

from ecqx.compression.contract import Compressed, Diverged, Quantized, check_range, quantizable


@dataclass(frozen=True)
class Method:
    step: float = 0.1

    def __post_init__(self):
        check_range("step", self.step, 1e-6, 10.0)

    def compress(self, model, task, rng):
        if self.step > 2:
            raise Diverged("the step exceeds every weight")
        if self.step > 1:
            raise RuntimeError("a defect of the method")
        weights = quantizable(model)
        return Compressed(
            {
                name: Quantized((tensor / self.step).round().int(), self.step)
                if name in weights
                else tensor.clone()
                for name, tensor in model.state_dict().items()
            }
        )
'''


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def without_costs(path):
    """Rows of a table as they are written, without what differs from run to run."""
    costs = ("train_s", "peak_memory_bytes")
    return [{name: text for name, text in row.items() if name not in costs} for row in read(path)]


def smoke_config(checkout):
    return yaml.safe_load((checkout.folder / "config/smoke.yaml").read_text())


def add_new_baseline(checkout, steps):
    """One file and a grid, nothing else."""
    checkout.write("baselines/fixed_step.py", NEW_BASELINE)
    config = smoke_config(checkout)
    config["grids"]["fixed_step"] = [{"step": steps}]
    config["methods"] = ["uniform_ptq", "fixed_step"]
    checkout.write("config/smoke.yaml", yaml.safe_dump(config, sort_keys=False))


def test_outputs(smoke_run):
    config = smoke_config(smoke_run)
    results = smoke_run.results
    table = read(results / "tables/runs.csv")
    expected = [
        (method, point, str(seed))
        for method, grid in config["grids"].items()
        for point in run_table.expand_grid(grid)
        for seed in config["seeds"]
    ]
    assert sorted((r["method"], r["point"], r["seed"]) for r in table) == sorted(expected)
    assert {row["status"] for row in table} == {"ok"}
    parameters = list(table[0])[len(rows.RUN_COLUMNS) :]
    assert list(table[0])[: len(rows.RUN_COLUMNS)] == list(rows.RUN_COLUMNS)
    assert parameters == sorted(parameters) and "p_lam" in parameters
    for row in table:
        folder = results / RUNS / row["method"] / row["point"] / f"seed~{row['seed']}"
        assert int(row["size_bytes"]) == (folder / "model.nnc").stat().st_size
        ratio = int(row["size_fp32_bytes"]) / int(row["size_bytes"])
        assert float(row["compression_ratio"]) == pytest.approx(ratio)
    for suffix in ("csv", "md", "tex"):
        assert (results / f"tables/summary.{suffix}").stat().st_size > 0
    names = ["accuracy_vs_size", "accuracy_vs_sparsity", "localisation_vs_size"]
    names.append("faithfulness_vs_size")
    default = yaml.safe_load((smoke_run.folder / "config/default.yaml").read_text())
    names += [f"consistency_vs_size-{metric}" for metric in default["evaluation"]["metrics"]]
    captions = (results / "figures/captions.md").read_text()
    for name in [*names, "gallery-digits-residual_cnn"]:
        assert name in captions
        for file in (name, f"{name}-column"):
            assert (results / f"figures/{file}.pdf").read_bytes().startswith(b"%PDF")
            assert (results / f"figures/{file}.png").read_bytes().startswith(b"\x89PNG")
    assert "</html>" in (results / "page.html").read_text()


def test_attributions_hold_runs_and_anchors(smoke_run):
    table = read(smoke_run.results / "tables/attributions.csv")
    assert tuple(table[0]) == rows.COLUMNS["attributions"]
    methods = {row["method"] for row in table}
    assert methods == {*smoke_config(smoke_run)["grids"], "identical", "retrained", "random"}
    cosine = {
        method: [
            float(row["mean"])
            for row in table
            if row["method"] == method and row["metric"] == "cosine" and row["subset"] == "all"
            and row["signed"] == "True" and row["explainer"] == "lrp_epsilon_plus_flat"
        ]
        for method in ("identical", "random")
    }  # fmt: skip
    assert cosine["identical"] == pytest.approx([1.0, 1.0])
    assert max(cosine["random"]) < 0.9


def test_extra_tables_agree_with_the_runs(smoke_run):
    tables = smoke_run.results / "tables"
    found = {name: read(tables / f"{name}.csv") for name in rows.COLUMNS}
    runs = read(tables / "runs.csv")
    for name in ("predictions", "layers", "relevance"):
        assert tuple(found[name][0]) == rows.COLUMNS[name]
    # neither asked for, nor anything to tell
    assert found["randomisation"] == found["skipped"] == []
    keys = ("dataset", "model", "method", "point", "seed")
    labels = data.load(smoke_run.results / "data/digits/data.pt").test.y

    def folder_of(run):
        return f"{RUNS}/{run['method']}/{run['point']}/seed~{run['seed']}"

    def of(table, run):
        return [row for row in found[table] if all(row[key] == run[key] for key in keys)]

    for run in runs:
        classes = of("predictions", run)
        assert [row["class"] for row in classes] == [str(digit) for digit in range(10)]
        for column in ("accuracy", "accuracy_fp32"):
            hits = sum(int(row["n"]) * float(row[column]) for row in classes)
            total = sum(int(row["n"]) for row in classes)
            assert hits / total == pytest.approx(float(run[column]))
        layers = of("layers", run)
        assert [int(row["position"]) for row in layers] == list(range(len(layers)))
        weights = sum(int(row["weights"]) for row in layers)
        zeros = sum(int(row["weights"]) * float(row["sparsity"]) for row in layers)
        assert zeros / weights == pytest.approx(float(run["sparsity"]))
        bits = sum(int(row["weights"]) * float(row["entropy_bits"]) for row in layers)
        assert bits / 8 == pytest.approx(float(run["entropy_bytes"]))
        assert 0 <= float(run["flips"]) <= 1
        # two networks cannot differ in accuracy by more than they differ in predictions
        gap = abs(float(run["accuracy"]) - float(run["accuracy_fp32"]))
        assert gap <= float(run["flips"]) + 1e-9
        alike = sum(int(row["n"]) * float(row["agreement"]) for row in classes)
        assert alike / total == pytest.approx(1 - float(run["flips"]))
        logits = torch.from_numpy(np.load(smoke_run.results / folder_of(run) / "logits.npy"))
        assert accuracy_score(logits, labels) == pytest.approx(float(run["accuracy"]))
        assert calibration_error(logits, labels) == float(run["calibration_error"])
        # its own map on itself and on full precision, and full precision's on it
        gains = of("gains", run)
        pairs = [(row["network"], row["map"]) for row in gains]
        assert len(set(pairs)) == 3 and len(pairs) == 9
        assert all(row["n"] == "16" and abs(float(row["mean"])) <= 1 for row in gains)
    identical = [row["mean"] for row in found["gains"] if row["method"] == "identical"]
    # two seeds, three explainers, thrice the same network and map
    assert len(identical) == 18 and len(set(identical)) == 6
    names = list(dict.fromkeys(row["tensor"] for row in of("layers", runs[0])))
    seeds = smoke_config(smoke_run)["seeds"]
    assert [row["tensor"] for row in found["relevance"][::10]] == names * len(seeds)


@pytest.mark.parametrize("name", ["attributions", "gains"])
def test_samples_have_the_means_of_the_tables(smoke_run, name):
    tables = smoke_run.results / "tables"
    samples, table = (
        pd.read_parquet(tables / f"{name}.parquet"),
        pd.read_csv(tables / f"{name}.csv"),
    )
    identity = [column for column in table.columns if column in samples.columns]
    if name == "attributions":
        both = samples[samples["both_correct"]].assign(subset="both_correct")
        samples = pd.concat([samples.assign(subset="all"), both])
        identity.insert(0, "subset")
        identity.remove("degenerate")
    found = samples.groupby(identity, observed=True)["value"].agg(["mean", "std", "count"])
    expected = table.set_index(identity)[["mean", "std", "n"]]
    expected = expected[expected["n"] > 0]
    assert len(expected) > 100
    found = found.reindex(expected.index)
    assert (found["count"] == expected["n"]).all()
    for column in ("mean", "std"):
        np.testing.assert_allclose(found[column], expected[column], rtol=1e-3, atol=1e-5)
    # places in the test split, and classes of it
    y = data.load(smoke_run.results / "data/digits/data.pt").test.y.numpy()
    assert (y[samples["sample"]] == samples["target"]).all()


def test_record_of_a_run(smoke_run):
    path = smoke_run.results / RUNS / "uniform/bits~4/seed~1/run.json"
    record = json.loads(path.read_text())
    assert record["params"]["levels"] == 16 and record["seed"] == 1
    assert record["budget"]["epochs"] == 1 and record["epoch"] == 1
    assert record["versions"]["torch"] and "git" in record
    assert record["status"] == "ok" and record["train_s"] > 0
    if sys.platform.startswith("linux"):
        assert record["peak_memory_bytes"] > 2**27


def test_results_say_what_they_were_made_by(smoke_run):
    results, smoke = smoke_run.results, smoke_config(smoke_run)
    known = provenance.read(results)
    runs = read(results / "tables/runs.csv")
    assert sum(origin["runs"] for origin in known.origins) == len(runs)
    assert known.origins[0]["device"] == "cpu" and known.origins[0]["versions"]["torch"]
    assert known.methods["ecq"].startswith("ECQ: entropy-constrained quantization")
    config = yaml.safe_load((results / "config.yaml").read_text())
    assert config["tasks"] == list(config["task_settings"]) == ["digits"]
    assert config["methods"] == list(config["grids"]) and "results_dir" not in config
    assert config["grids"]["ecq"] == smoke["grids"]["ecq"]
    assert config["task_settings"]["digits"]["budget"]["epochs"] == 1
    again = ("--configfile", "config/smoke.yaml", "results/smoke/config.yaml")
    done = smoke_run.snakemake("--dry-run", *again)
    assert done.returncode == 0 and job_counts(done.stdout) == {}, done.stdout


def test_a_network_of_the_run_by_name(smoke_run):
    found = ecqx.load_result("digits/ecq@bits~4_lam~0.05", smoke_run.results, seed=1)
    network = found.network()
    dataset = data.load(smoke_run.results / "data/digits/data.pt")
    with torch.no_grad():
        right = network(dataset.test.x).argmax(1) == dataset.test.y
    assert float(right.double().mean()) == pytest.approx(found.row["accuracy"])


def test_an_entry_of_the_board_is_measured_again(smoke_run, tmp_path, capfd):
    entry = tmp_path / "board/ptq"
    file = smoke_run.folder / "baselines/uniform_ptq.py"
    source = ["--results", str(smoke_run.results), "--method", "uniform_ptq", "--file", str(file)]
    assert board.main(["add", str(entry), *source, "--by", "A. Name"]) == 0
    assert "| no |" in (tmp_path / "board/README.md").read_text()
    assert board.main(["verify", str(entry)]) == 0, capfd.readouterr()
    mark = json.loads((entry / "verified.json").read_text())
    assert mark["runs"] == 4 and max(mark["accuracy_off"], mark["measure_off"]) < 1e-6
    assert f"| {mark['on']} |" in (tmp_path / "board/README.md").read_text()
    # an entry is a folder of results like any other
    assert ecqx.load_result("digits/uniform_ptq@bits~4", entry).row["seed"] == 0
    # better than measured; attributions as well; and bytes of another network
    runs = pd.read_csv(entry / "tables/runs.csv")
    runs.loc[3, "accuracy"] += 0.01
    runs.to_csv(entry / "tables/runs.csv", index=False)
    attributions = pd.read_csv(entry / "tables/attributions.csv")
    attributions.loc[0, "mean"] += 0.03
    attributions.to_csv(entry / "tables/attributions.csv", index=False)
    places = [entry / RUNS / f"uniform_ptq/bits~{bits}/seed~1/model.nnc" for bits in (2, 4)]
    shutil.copyfile(places[1], places[0])
    problems = board.verify(entry)
    assert len(problems) == 5, problems
    assert any("accuracy is" in p and "bits~4/seed~1" in p for p in problems)
    assert any("the table says" in p and "bits~2/seed~0" in p for p in problems)
    told = [p for p in problems if "bits~2/seed~1" in p]
    assert ["bytes" in told[0], "run.json" in told[1], "accuracy" in told[2]] == [True] * 3
    assert not (entry / "verified.json").exists()


def test_every_job_leaves_a_log_and_a_benchmark(smoke_run):
    executed = sum(job_counts(smoke_run.output).values()) - 1  # all is no job of its own
    assert executed > 30
    for kind, suffix in (("logs", "log"), ("benchmarks", "tsv")):
        assert len(list((smoke_run.results / kind).rglob(f"*.{suffix}"))) == executed
    assert "uniform bits~4 seed 1: ok" in smoke_run.output


def test_second_call_plans_nothing(smoke_run):
    assert smoke_run.plan() == {}


def test_another_time_stamp_plans_nothing(finished):
    """Of any file there is, in any order: results may come to be older than what made them."""
    for path in finished.folder.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts:
            os.utime(path)
    assert finished.plan() == {}


def test_results_that_were_moved_plan_nothing(finished, checkout):
    """To another checkout of the same commit, without Snakemake's own records, times as copied."""
    for path in sorted(finished.results.rglob("*"), reverse=True):
        if path.is_file():
            target = checkout.folder / path.relative_to(finished.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    assert checkout.plan() == {}
    checkout.append("baselines/nncodec.py", "\n# an edit\n")
    assert checkout.plan()["compress"] == 2


END = dict.fromkeys(("collect", "make_tables", "draw_figures", "make_page", "all"), 1)


def test_edited_baseline_plans_the_jobs_of_its_runs(finished):
    finished.append("baselines/ecqx.py", "\n# an edit\n")
    # its points lie in two of the five shares of a seed
    assert finished.plan() == {"check": 1, "compress": 4, "evaluate": 4, **END}


@pytest.mark.parametrize(
    ("path", "planned", "spared"),
    [
        ("ecqx/compression/assignment/grid.py", "compress", "pretrain"),
        ("ecqx/evaluation/consistency.py", "reference", "compress"),
        ("ecqx/tasks/models/residual_cnn.py", "pretrain", "prepare_data"),
        ("ecqx/tasks/datasets/digits.py", "prepare_data", None),
        ("ecqx/results/style.py", "make_tables", "collect"),
        ("ecqx/page/page.css", "make_page", "draw_figures"),
        ("workflow/report/layers.rst", "draw_figures", "make_page"),
        ("workflow/scripts/evaluate.py", "evaluate", "pretrain"),
        ("workflow/pipeline/jobs/rows.py", "collect", "prepare_data"),
        ("workflow/pipeline/jobs/job.py", "prepare_data", None),
    ],
)
def test_edited_file_plans_what_it_changes(finished, path, planned, spared):
    finished.append(path, "\n/* */\n" if path.endswith("css") else "\n# an edit\n")
    jobs = finished.plan()
    assert planned in jobs and spared not in jobs


def test_foreign_edits_plan_nothing(finished):
    finished.append("ecqx/tasks/models/mlp_gsc.py", "\n# an edit\n")
    finished.append("ecqx/tasks/datasets/spoken_keywords.py", "\n# an edit\n")
    finished.append("baselines/_template.py", "\n# an edit\n")
    assert finished.plan() == {}


def test_changed_budget_plans_compression_again(finished):
    config = smoke_config(finished)
    config["task_settings"]["digits"]["budget"]["epochs"] = 2
    finished.write("config/smoke.yaml", yaml.safe_dump(config, sort_keys=False))
    jobs = finished.plan()
    assert jobs["compress"] == 10 and "pretrain" not in jobs


def test_asking_for_the_randomisation_check_plans_no_evaluation(finished):
    config = smoke_config(finished)
    config["evaluation"]["randomisation"] = True
    finished.write("config/smoke.yaml", yaml.safe_dump(config, sort_keys=False))
    assert finished.plan() == {"randomisation": 2, **END}


def test_a_new_point_computes_that_point(smoke_run, finished):
    config = smoke_config(finished)
    config["grids"]["uniform"] = [{"bits": [2, 3, 4]}]
    finished.write("config/smoke.yaml", yaml.safe_dump(config, sort_keys=False))
    done = finished.snakemake("--cores", "2", *SMOKE)
    assert done.returncode == 0, done.stdout[-5000:]
    # the point moves those behind it to other shares, where nothing is left to do for them
    assert job_counts(done.stdout) == {"check": 1, "compress": 10, "evaluate": 10, **END}
    computed = [line for line in done.stdout.splitlines() if " uniform bits~" in line]
    assert len(computed) == 4 and all(" uniform bits~3 seed " in line for line in computed)
    table = {(r["point"], r["seed"]): r for r in read(finished.results / "tables/runs.csv")
             if r["method"] == "uniform"}  # fmt: skip
    assert table["bits~3", "1"]["status"] == "ok"
    # not even the time they took has changed
    before = read(smoke_run.results / "tables/runs.csv")
    uniform = [row for row in before if row["method"] == "uniform"]
    assert uniform and all(row == table[row["point"], row["seed"]] for row in uniform)
    assert finished.plan() == {}


def test_damaged_files_are_made_again_by_the_same_call(smoke_run, finished):
    run = f"{RUNS}/ecq/bits~2_lam~0.2/seed~1"
    damaged = ("data/digits/data.pt", f"{run}/model.nnc", f"{RUNS}/wcam/bits~2/seed~0/metrics.json")
    for name in damaged:
        path = finished.results / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    (finished.results / f"{run}/maps.npz").unlink()
    done = finished.snakemake("--cores", "2", *SMOKE)
    assert done.returncode == 0, done.stdout[-5000:]
    jobs = job_counts(done.stdout)
    assert jobs["prepare_data"] == jobs["compress"] == 1 and jobs["evaluate"] == 2
    assert "pretrain" not in jobs and "reference" not in jobs
    for name in damaged:
        assert f"results/smoke/{name}: missing, or not what was written" in done.stdout
    for name in (*damaged, f"{run}/maps.npz"):
        assert (finished.results / name).read_bytes() == (smoke_run.results / name).read_bytes()
    assert finished.plan() == {}


def test_what_is_swapped_or_edited_is_made_again_too(smoke_run, finished):
    """Files that are whole, but not those of their run; a record that says something better."""
    swapped = [f"{RUNS}/uniform/bits~{bits}/seed~0/model.nnc" for bits in (2, 4)]
    contents = [(finished.results / name).read_bytes() for name in swapped]
    for name, content in zip(swapped, reversed(contents), strict=True):
        (finished.results / name).write_bytes(content)
    record = finished.results / f"{RUNS}/wcam/bits~4/seed~1/run.json"
    record.write_text(record.read_text().replace('"epoch": 1', '"epoch": 7'))
    network = "pretrained/digits/residual_cnn/seed~0/model.pt"
    weights = bytearray((finished.results / network).read_bytes())
    weights[len(weights) // 3] ^= 4
    (finished.results / network).write_bytes(weights)
    done = finished.snakemake("--cores", "2", *SMOKE)
    assert done.returncode == 0, done.stdout[-5000:]
    for name in (*swapped, record.relative_to(finished.results), network):
        assert f"results/smoke/{name}: missing, or not what was written" in done.stdout
    for name in (*swapped, network):
        assert (finished.results / name).read_bytes() == (smoke_run.results / name).read_bytes()
    told = json.loads(record.read_text())
    artefact = record.with_name("model.nnc").read_bytes()
    assert told["epoch"] == 1 and told["sha256"] == hashlib.sha256(artefact).hexdigest()
    assert finished.plan() == {}


def test_figures_alone(finished):
    figures = finished.results / "figures"
    before = {path.name: path.read_bytes() for path in figures.iterdir()}
    for path in figures.iterdir():
        path.unlink()
    # not even an edit of the library makes it train
    finished.append("ecqx/compression/assignment/grid.py", "\n# an edit\n")
    done = finished.snakemake("figures", "--cores", "1", *SMOKE)
    assert done.returncode == 0, done.stdout
    assert job_counts(done.stdout) == {"figures": 1}
    assert {path.name: path.read_bytes() for path in figures.iterdir()} == before


def test_cores_and_shares_of_points_change_nothing(smoke_run, finished):
    shutil.rmtree(finished.folder / "results")
    finished.write("other.yaml", "seeds: [0]\ntask_settings: {digits: {points_per_job: 2}}\n")
    done = finished.snakemake("collect", "--cores", "1", *SMOKE, "other.yaml")
    assert done.returncode == 0, done.stdout[-5000:]
    artefacts = sorted(finished.results.rglob("seed~0/model.nnc"))
    assert len(artefacts) == len(list(smoke_run.results.rglob("seed~0/model.nnc")))
    for path in artefacts:
        twin = smoke_run.results / path.relative_to(finished.results)
        assert path.read_bytes() == twin.read_bytes(), path
    for name in ("runs.csv", *(f"{table}.csv" for table in rows.COLUMNS)):
        if name in ("skipped.csv", "methods.csv"):  # of no seed
            continue
        lines = without_costs(finished.results / "tables" / name)
        assert lines == [
            row for row in without_costs(smoke_run.results / "tables" / name) if row["seed"] == "0"
        ]


def test_new_baseline_is_one_file_and_a_grid(finished):
    add_new_baseline(finished, [0.05, 5.0])
    done = finished.snakemake("--cores", "2", *SMOKE)
    assert done.returncode == 0, done.stdout[-5000:]
    assert job_counts(done.stdout)["compress"] == 2
    table = read(finished.results / "tables/runs.csv")
    mine = [row for row in table if row["method"] == "fixed_step"]
    assert {row["p_step"] for row in mine} == {"0.05", "5.0"} and {r["bits"] for r in mine} == {""}
    # a point that diverges is a result beside the others
    assert {(row["point"], row["status"]) for row in mine} == {
        ("step~0.05", "ok"),
        ("step~5.0", "diverged"),
    }
    diverged = next(row for row in mine if row["status"] == "diverged")
    assert diverged["accuracy"] == diverged["size_bytes"] == "" and diverged["accuracy_fp32"]
    folder = finished.results / RUNS / "fixed_step/step~5.0/seed~0"
    assert (folder / "model.nnc").read_bytes() == b""
    assert "exceeds every weight" in json.loads((folder / "run.json").read_text())["reason"]
    for table in ("attributions", "predictions", "layers"):
        assert not read(folder / f"{table}.csv")
    assert "fixed_step" in (finished.results / "tables/summary.csv").read_text()
    # and the second call plans nothing
    assert finished.plan() == {}


def test_killed_run_is_resumed(checkout):
    """By the same command; while it runs, a second run on its folder is refused in one line."""
    command = ["--cores", "1", "--until", "pretrain", *SMOKE]
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *command], cwd=checkout.folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    data = checkout.results / "data/digits/data.pt"
    deadline = time.monotonic() + 300
    while not data.is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    second = checkout.snakemake(*command)
    assert second.returncode == 1 and "Traceback" not in second.stdout
    assert "results_dir: another run is writing to results/smoke; wait" in second.stdout
    assert job_counts(checkout.snakemake("--dry-run", *SMOKE).stdout), "to look is allowed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = checkout.snakemake(*command)
    assert done.returncode == 0, done.stdout
    assert (checkout.results / "pretrained/digits/residual_cnn/seed~0/model.pt").is_file()


def test_works_from_another_folder_and_as_a_module(checkout, tmp_path_factory):
    """Results go to the folder that Snakemake was called in."""
    away = tmp_path_factory.mktemp("away")
    settings = away / "few.yaml"
    settings.write_text("methods: [uniform_ptq]\nseeds: [0]\n")
    snakefile = checkout.folder / "Snakefile"
    (away / "Snakefile").write_text(
        f'configfile: "{checkout.folder}/config/default.yaml"\n'
        f'module theirs:\n    snakefile: "{snakefile}"\n    config: config\n'
        "use rule * from theirs as theirs_*\n"
        "rule mine:\n    default_target: True\n    input: rules.theirs_all.input\n"
    )
    configs = ["--configfile", str(checkout.folder / "config/smoke.yaml"), str(settings)]

    def call(*arguments):
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments, *configs]
        done = subprocess.run(command, cwd=away, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return job_counts(done.stdout + done.stderr)

    assert call("--snakefile", str(snakefile))["compress"] == 1
    assert (away / "results/smoke/tables/summary.csv").is_file()
    assert not (checkout.folder / "results").exists()
    assert call("--snakefile", str(snakefile), "--dry-run") == {}
    # another workflow has none of the profile's settings, and sees the same results
    assert call("--dry-run", "--rerun-triggers", "mtime") == {}
