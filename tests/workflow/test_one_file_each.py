"""A data set and a model of one's own, as README says: a file each, and nothing else is edited."""

import csv

import pytest
import yaml

from tests.workflow.conftest import job_counts

DATASET = """
import torch

from ecqx.tasks.data import Dataset, Split


def prepare(seed, root):
    y = torch.arange(60) % 3
    x = torch.nn.functional.one_hot(y, 64).float().view(-1, 1, 8, 8)
    parts = (slice(0, 36), slice(36, 48), slice(48, 60))
    return Dataset("{name}", ("a", "b", "c"), *(Split(x[part], y[part]) for part in parts))
"""
MODEL = """
from torch import nn


def build(input_shape, n_classes):
    channels, height, width = input_shape
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, n_classes))
"""
TASK = {
    "dataset": "mine", "model": "net", "points_per_job": 4,
    "pretraining": {"epochs": 10, "learning_rate": 3.0e-2, "batch_size": 4, "weight_decay": 0.0},
    "budget": {"epochs": 1, "learning_rate": 1.0e-3, "batch_size": 4},
}  # fmt: skip


@pytest.fixture
def mine(checkout):
    """A copy with both files; a function that runs Snakemake on them."""
    checkout.write("ecqx/tasks/datasets/mine.py", DATASET.format(name="mine"))
    checkout.write("ecqx/tasks/models/net.py", MODEL)

    def call(*arguments, **changes):
        config = {"tasks": ["mine"], "methods": ["uniform_ptq"], "seeds": [0]}
        evaluation = {"samples": 12, "explainers": ["gradient_x_input"], "metrics": ["cosine"]}
        config["grids"] = {
            "uniform_ptq": [{"levels": [3, 5, 7, 15]}],
            "wcam": [{"levels": [3, 15]}],
            "ecq_wcam": [{"levels": 15, "lam": [0.1, 0.2]}],
        }
        config |= {"task_settings": {"mine": TASK}, "evaluation": evaluation}
        checkout.write("mine.yaml", yaml.safe_dump(config | changes))
        return checkout.snakemake(*arguments, "--cores", "1", "--configfile", "mine.yaml")

    checkout.call = call
    return checkout


@pytest.mark.slow
def test_a_data_set_and_a_model_run(mine):
    done = mine.call("collect")
    assert done.returncode == 0, done.stdout[-3000:]
    with (mine.folder / "results/tables/runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["dataset"], r["model"], r["status"]) for r in rows] == [("mine", "net", "ok")] * 4
    assert {float(row["accuracy_fp32"]) for row in rows} == {1.0}


@pytest.mark.slow
def test_a_data_set_that_calls_itself_something_else_is_refused(mine):
    """Augmentation, loss and score are looked up under its name: they would be another's."""
    mine.write("ecqx/tasks/datasets/mine.py", DATASET.format(name="digits"))
    done = mine.call("--until", "prepare_data")
    assert done.returncode == 1
    assert "mine: the data set calls itself 'digits', expected 'mine'\n" in done.stdout
    assert "Traceback" not in done.stdout


def test_names_that_run_into_each_other_are_no_problem(mine):
    """Joined by underscores, net_ecq with wcam would be the same job as net with ecq_wcam."""
    mine.write("ecqx/tasks/models/net_ecq.py", MODEL)
    done = mine.call(
        "collect",
        "--dry-run",
        tasks=["one", "two"],
        methods=["wcam", "ecq_wcam"],
        task_settings={"one": TASK, "two": TASK | {"model": "net_ecq"}},
    )
    assert done.returncode == 0, done.stdout
    assert job_counts(done.stdout)["compress"] == 2
