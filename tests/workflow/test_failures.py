"""One bad point costs one point, whatever is bad about it."""

import csv
import json

import pytest
import yaml

from tests.workflow.conftest import SMOKE, job_counts

pytestmark = pytest.mark.slow

# A method whose points go wrong in as many ways as its parameter has values.
BASELINE = '''"""Goes wrong as it is told. For the test of the workflow."""

import os
import signal
import sys
import time
from dataclasses import dataclass

import torch

from ecqx.compression.contract import Compressed, Quantized, quantizable


@dataclass(frozen=True)
class Method:
    how: str = "well"

    def __post_init__(self):
        pass

    def skip(self, model, task):
        return "it was told not to" if self.how == "skip" else None

    def compress(self, model, task, rng):
        if self.how == "raise":
            raise RuntimeError("a defect of the method")
        if self.how == "memory":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.how == "exit":
            sys.exit(3)
        if self.how == "hang":
            time.sleep(600)
        if self.how == "nothing":
            return None
        weights = quantizable(model)
        history = [{"epoch": 1, "train_loss": 0.5}]
        tensors = {
            name: Quantized((tensor / 0.1).round().int(), 0.1)
            if name in weights
            else tensor.clone()
            for name, tensor in model.state_dict().items()
        }
        first = next(iter(weights))
        bias = next(name for name, tensor in tensors.items()
                    if not isinstance(tensor, Quantized) and tensor.is_floating_point())
        if self.how == "shape":
            tensors[first] = Quantized(tensors[first].codes.flatten()[:-1], 0.1)
        if self.how == "nan":
            tensors[bias] = torch.full_like(tensors[bias], float("nan"))
        if self.how == "step":
            tensors[first] = Quantized(tensors[first].codes, float("inf"))
        if self.how == "range":
            tensors[first] = Quantized(tensors[first].codes.long() + 2**40, 0.1)
        return Compressed(tensors, history, 1)
'''
EXPLAINER = """

@explainer(label="Breaks on few levels", source="for the test of the workflow")
def breaks_on_few_levels(model, x, target):
    if any(p.ndim > 1 and p.unique().numel() <= 4 for p in model.parameters()):
        raise ValueError("too few levels")
    return gradient_x_input(model, x, target)
"""
# how -> status, a part of the reason
EXPECTED = {
    "well": ("ok", ""),
    "raise": ("failed", "RuntimeError: a defect of the method"),
    "shape": ("failed", "has shape"),
    "nothing": ("failed", "TypeError: compress returned NoneType"),
    "nan": ("diverged", "not finite"),
    "step": ("diverged", "is inf"),
    "range": ("failed", "32 bits"),
    "memory": ("failed", "the process was ended by SIGKILL"),
    "crash": ("failed", "the process was ended by SIGSEGV"),
    "exit": ("failed", "the process ended with exit code 3"),
    "hang": ("failed", "took longer than the limit of 5 s"),
    "skip": ("skipped", "it was told not to"),
}
CONFIG = {
    "seeds": [0],
    "methods": ["uniform_ptq", "moody"],
    "grids": {"moody": [{"how": list(EXPECTED)}]},
    "time_limit_s": 5,
    "task_settings": {"digits": {"points_per_job": 20}},
}


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def moody(tmp_path_factory):
    """A run in which all of that has happened."""
    from tests.workflow.conftest import copy_repository

    checkout = copy_repository(tmp_path_factory.mktemp("moody"))
    checkout.write("baselines/moody.py", BASELINE)
    checkout.write("moody.yaml", yaml.safe_dump(CONFIG))
    done = checkout.snakemake("--cores", "2", *SMOKE, "moody.yaml")
    checkout.done = done
    assert done.returncode == 0, done.stdout[-5000:]
    return checkout


@pytest.fixture(scope="module")
def runs(moody):
    table = read(moody.results / "tables/runs.csv")
    return {row["point"].partition("~")[2]: row for row in table if row["method"] == "moody"}


@pytest.mark.parametrize("how", EXPECTED)
def test_the_point_says_what_became_of_it(runs, how):
    status, reason = EXPECTED[how]
    assert runs[how]["status"] == status, runs[how]
    assert reason in runs[how]["reason"] and "\n" not in runs[how]["reason"]
    assert bool(runs[how]["accuracy"]) == (status == "ok")


def test_all_in_one_job_and_the_other_method_as_ever(moody):
    assert job_counts(moody.done.stdout)["compress"] == 1
    others = [row for row in read(moody.results / "tables/runs.csv") if row["method"] != "moody"]
    assert others and {row["status"] for row in others} == {"ok"}


@pytest.mark.parametrize("how", ["shape", "nan", "step", "range"])
def test_the_history_of_a_failed_point_is_kept(moody, how):
    folder = moody.results / f"runs/digits/residual_cnn/moody/how~{how}/seed~0"
    assert [row["train_loss"] for row in read(folder / "history.csv")] == ["0.5"]
    record = json.loads((folder / "run.json").read_text())
    assert record["params"] == {"how": how} and (folder / "model.nnc").read_bytes() == b""


def test_tables_figures_and_page_are_made_of_the_rest(moody):
    failures = read(moody.results / "tables/failures.csv")
    told = {row["point"].partition("~")[2]: row["status"] for row in failures}
    assert told == {how: status for how, (status, _) in EXPECTED.items() if status != "ok"}
    assert "moody" in (moody.results / "tables/summary.csv").read_text()
    assert (moody.results / "figures/accuracy_vs_size.pdf").is_file()
    assert "a defect of the method" in (moody.results / "page.html").read_text()
    # a failed point is a result: it is not tried again without a reason
    done = moody.snakemake("--dry-run", *SMOKE, "moody.yaml")
    assert job_counts(done.stdout) == {}


def test_an_explainer_that_raises_fails_that_run_alone(moody):
    moody.append("ecqx/evaluation/explainers.py", EXPLAINER)
    more = CONFIG | {"grids": {"moody": [{}]}}
    more["evaluation"] = {"explainers": ["gradient_x_input", "breaks_on_few_levels"]}
    moody.write("more.yaml", yaml.safe_dump(more))
    done = moody.snakemake("--cores", "2", *SMOKE, "more.yaml")
    assert done.returncode == 0, done.stdout[-5000:]
    table = read(moody.results / "tables/runs.csv")
    statuses = {(row["method"], row["point"]): row["status"] for row in table}
    assert statuses["uniform_ptq", "bits~2"] == "failed"
    assert statuses["uniform_ptq", "bits~4"] == "ok"
    reasons = {row["reason"] for row in table if row["status"] == "failed"}
    assert reasons == {"evaluation: ValueError: too few levels"}
