"""The benchmarks run; what they measure is not tested here."""

import csv
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from pipeline.planning.plan import Job, Need

from benchmarks import meta_evaluation, schedule
from ecqx.compression.artefact import bitstream
from ecqx.compression.contract import Quantized, quantizable
from ecqx.evaluation.evaluate import make_reference
from ecqx.evaluation.reference import save_reference
from ecqx.results.metrics import complexity, measured
from ecqx.tasks import data, models
from ecqx.tasks.scores import accuracy_score
from tests.unit.device_cases import made_up

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_step_cost_prints_its_rows():
    command = ["-m", "benchmarks.step_cost", "--models", "mlp_gsc"]
    done = subprocess.run(
        [sys.executable, *command, "--pairs", "1", "--threads", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [row["method"] for row in rows] == ["ecq", "ecqx", "ecqx_every_4th"]
    assert all(row["ratio"] > 0 and row["threads"] == 1 and row["batch"] == 64 for row in rows)
    assert "peak memory beyond a plain step" in done.stdout


@pytest.mark.slow
def test_matching_cost_prints_its_rows():
    command = ["-m", "benchmarks.matching_cost", "--models", "small_vgg", "--matchings", "e2kd"]
    done = subprocess.run(
        [sys.executable, *command, "--pairs", "1", "--threads", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [(row["of"], row["interval"]) for row in rows] == [
        (of, interval) for of in ("itself", "student") for interval in (1, 2, 16)
    ]
    assert all(row["ratio"] > 0 and row["threads"] == 1 for row in rows)


@pytest.mark.slow
def test_explainer_cost_prints_its_rows():
    names = ["excitation_backprop", "rap"]
    command = ["-m", "benchmarks.explainer_cost", "--explainers", *names]
    done = subprocess.run(
        [sys.executable, *command, "--pairs", "1", "--threads", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [row["explainer"] for row in rows] == names
    assert all(row["ratio"] > 0 and row["seconds"] > 0 and row["samples"] == 256 for row in rows)
    assert rows[0]["quantus_ratio"] > 0
    assert rows[1]["quantus_ratio"] is None  # zennit has no RAP


@pytest.mark.slow
def test_faithfulness_prints_its_row():
    command = ["-m", "benchmarks.faithfulness", "--samples", "8", "--pairs", "1"]
    done = subprocess.run(
        [sys.executable, *command, "--threads", "1"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout.splitlines()[-1])
    assert row["largest_difference"] < 1e-6 and row["compared_maps"] > 0
    assert row["quantus_ratio"] > 0 and row["maps"] == 6 and row["threads"] == 1


@pytest.mark.slow
def test_variance_writes_its_runs_and_prints_a_table(tmp_path):
    path = tmp_path / "runs.csv"
    counts = ["--pretraining-seeds", "2", "--compression-seeds", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.variance", path, "--task", "digits", *counts],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    seeds = [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]
    for method in ("uniform", "ecqx"):
        own = [row for row in rows if row["method"] == method]
        assert [(row["pretraining_seed"], row["compression_seed"]) for row in own] == seeds
        assert len({row["pearson"] for row in own}) == 4  # each seed makes another run
    for row in rows:
        change = float(row["accuracy"]) - float(row["accuracy_fp32"])
        assert float(row["accuracy_change"]) == pytest.approx(change, abs=1e-6)
    table = [line for line in done.stdout.splitlines() if line.startswith("| Pearson")]
    assert [line.split(" | ")[1] for line in table] == ["uniform", "ecqx", "ecqx minus uniform"]
    for line in table:
        assert sum(map(int, re.findall(r"(\d+)%", line))) == pytest.approx(100, abs=1)
    for method, line in zip(("uniform", "ecqx"), table, strict=False):
        means = [float(row["pearson"]) for row in rows if row["method"] == method]
        networks = means[:2], means[2:]
        between = statistics.variance([statistics.mean(own) for own in networks])
        within = statistics.mean(statistics.variance(own) for own in networks)
        spread = float(line.split(" | ")[6])
        assert spread == pytest.approx((between + within / 2) ** 0.5, abs=1e-4)


def test_meta_evaluation_writes_its_rows_and_prints_a_table(tmp_path, monkeypatch, capsys):
    """Two networks, one of them next to full precision."""
    dataset, task = made_up("cluttered_digits"), "cluttered_digits/small_vgg"
    torch.manual_seed(0)
    model = models.network("small_vgg", dataset.input_shape, len(dataset.classes))
    full_precision = tmp_path / "pretrained" / task / "seed~0"
    for folder in (tmp_path / "data/cluttered_digits", full_precision, tmp_path / "tables"):
        folder.mkdir(parents=True)
    data.save(dataset, tmp_path / "data/cluttered_digits/data.pt")
    pairs, names = (torch.arange(3), dataset.test.y[:3]), ["gradient_x_input"]
    splits = dataset.test, dataset.validation
    reference = make_reference(model, *splits, *pairs, names, accuracy_score)
    save_reference(full_precision / "reference.npz", reference)
    weights = quantizable(model)
    runs = [
        dict.fromkeys(("dataset", "model", "method", "point", "seed"), "x") | {"status": "failed"}
    ]
    for point, step in (("fine", 1e-3), ("coarse", 0.2)):
        tensors = {
            name: Quantized((tensor / step).round().int(), step) if name in weights else tensor
            for name, tensor in model.state_dict().items()
        }
        folder = tmp_path / "runs" / task / "m" / point / "seed~0"
        folder.mkdir(parents=True)
        (folder / "model.nnc").write_bytes(bitstream.encode(tensors, model))
        runs.append(
            {"dataset": "cluttered_digits", "model": "small_vgg", "method": "m", "point": point,
             "seed": 0, "status": "ok"}
        )  # fmt: skip
    pd.DataFrame(runs).to_csv(tmp_path / "tables/runs.csv", index=False)
    path = tmp_path / "meta.csv"
    monkeypatch.setattr(sys, "argv", ["", str(tmp_path), str(path), "--perturbations", "2"]
                        + ["--occluded", "2"])  # fmt: skip
    meta_evaluation.main()
    table = pd.read_csv(path)
    scores = table[["score", *meta_evaluation.SCORES]]
    names = {*measured(), "gain"} - complexity()
    assert set(table["metric"]) == names and len(table) == 2 * 2 * len(names)
    assert bool((scores.isna() | ((scores >= 0) & (scores <= 1))).all().all())
    noisy = table[table["perturbed"] == "weights"].set_index(["metric", "signed"])
    assert 0 < noisy["changed"].iloc[0] <= 1 and noisy["score"].notna().all()
    # what orders alike is judged alike
    columns = ["inter_resilience", "inter_reactivity"]
    assert noisy.loc["cosine", columns].equals(noisy.loc["normalised_l2", columns])
    printed = capsys.readouterr().out
    assert "cluttered_digits/small_vgg/0: 2 networks" in printed
    assert printed.count("| Pearson correlation") == printed.count("| Relevance gain") == 4


@pytest.mark.slow
def test_networks_prints_a_line_for_each():
    command = ["-m", "benchmarks.networks", "--networks", "mobilenet_v2", "--size", "32"]
    done = subprocess.run(
        [sys.executable, *command, "--method", "uniform_ptq"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    line = r"mobilenet_v2: CompressedModel\(uniform_ptq, .*; input \d+\.\d%, kept: "
    assert len(done.stdout.splitlines()) == 1 and re.search(line, done.stdout)


def test_hostile_bitstreams_are_decoded_or_refused():
    command = ["-m", "benchmarks.hostile_bitstreams", "--mutants", "200", "--seed", "1"]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    row = json.loads(done.stdout)
    assert row.pop("mutants") == sum(row[key] for key in row if key != "peak_memory_bytes") == 200
    assert row["refused"] > 150 and row["peak_memory_bytes"] < 2 << 30


def jobs_of(**needs):
    """Jobs by name, each with the names of those that it waits for."""
    jobs = {}
    for name, earlier in needs.items():
        jobs[name] = Job(name, (), "", {}, tuple(Need(jobs[e]) for e in earlier))
    return list(jobs.values())


def test_schedule_by_hand():
    jobs = jobs_of(a="", b="a", c="a", d="a", e="bcd")
    seconds = {"a": 2.0, "b": 3.0, "c": 4.0, "d": 3.0, "e": 1.0}
    assert schedule.longest_chain(jobs, seconds) == 7
    # one core: all; two: b and c, then d beside c's last second; three: as long as the chain
    assert [schedule.makespan(jobs, seconds, cores) for cores in (1, 2, 3)] == [13, 9, 7]
    # a job stands behind what it waits for, wherever the plan lists it
    assert [job.key for job in schedule.in_order(jobs[::-1])] == ["a", "b", "c", "d", "e"]


def test_schedule_reads_what_jobs_took(tmp_path):
    (job, single) = Job("compress", ("d", "m", "seed~0", "1"), "", {}), Job("collect", (), "", {})
    folder = tmp_path / "benchmarks/compress/d/m/seed~0"
    folder.mkdir(parents=True)
    for attempt, cpu in (("1-aa", 1.5), ("1-aa-1", 2.0), ("11-bb", 40.0)):
        (folder / f"{attempt}.tsv").write_text(f"s\tcpu_time\n9\t{cpu}\n")
    assert schedule.seconds_of(tmp_path, job) == 3.5
    with pytest.raises(ValueError, match="no record of collect, expected collect.tsv"):
        schedule.seconds_of(tmp_path, single)


@pytest.mark.slow
def test_planning_prints_what_a_dry_run_takes():
    command = ["-m", "benchmarks.planning", "--points", "500", "--points-per-job", "50"]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    # ten seeds of a share's two steps, two trainings and a reference, and what is there once
    assert row["points"] == 500 and row["jobs"] == 10 * 5 + 7
    assert row["processor_s"] > 0 and row["memory_mib"] > 0


@pytest.mark.slow
def test_presenting_prints_what_each_target_takes():
    command = ["-m", "benchmarks.presenting", "--runs", "20", "--targets", "page"]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert row["target"] == "page" and row["runs"] == 20 and row["processor_s"] > 0
