"""What a point may change of its task's budget."""

import dataclasses

import pytest

from ecqx.checks import example
from ecqx.compression import budgeting
from ecqx.compression.assignment.assigners import Nearest
from ecqx.compression.contract import parameter, quantizable
from ecqx.compression.methods.uniform import Uniform
from ecqx.compression.run import attempt_point, compress_point
from ecqx.compression.training import quantize_once
from ecqx.results import keys

SEED = ("compress", "test", 0)


@pytest.fixture(scope="module")
def small():
    return example()


def test_an_explicit_default_changes_no_byte(small):
    model, task = small
    same = {"learning_rate": task.budget.learning_rate, "epochs_factor": 1}
    plain = compress_point(Uniform, {}, model, task, SEED)
    explicit = compress_point(Uniform, same, model, task, SEED)
    assert explicit.artefact == plain.artefact
    assert explicit.params == plain.params | same


def test_epochs_are_multiplied(small):
    model, task = small
    outcome = compress_point(Uniform, {"epochs_factor": 3}, model, task, SEED)
    assert len(outcome.history) == 3 * task.budget.epochs


def test_the_learning_rate_is_that_of_the_point(small):
    model, task = small
    slow = compress_point(Uniform, {"learning_rate": 1e-9}, model, task, SEED)
    plain = compress_point(Uniform, {}, model, task, SEED)
    assert slow.artefact != plain.artefact
    # at next to no rate nothing moves but the statistics of batch norm
    moved = [abs(o.history[0]["train_loss"] - o.history[-1]["train_loss"]) for o in (slow, plain)]
    assert moved[0] < 0.2 * moved[1]


@dataclasses.dataclass(frozen=True)
class Untrained:
    """Quantizes once."""

    step: float = parameter(0.1)

    def compress(self, model, task, rng):
        return quantize_once(model, Nearest(quantizable(model), levels=16))


def test_a_method_without_training_says_that_nothing_changes(small):
    model, task = small
    outcome = attempt_point(Untrained, {"learning_rate": 0.1}, model, task, SEED)
    assert outcome.status == "failed" and outcome.artefact == b""
    assert "learning_rate: 0.1 changes nothing where no epoch is trained" in outcome.reason
    assert outcome.params == {"step": 0.1, "learning_rate": 0.1}


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs_factor", 0), ("epochs_factor", 1.5), ("epochs_factor", True),
     ("learning_rate", 0.0), ("learning_rate", "fast"), ("learning_rate", True),
     ("refine", "steps"), ("refine", True), ("distil", 1), ("distil", "yes")],
)  # fmt: skip
def test_other_values_are_refused(small, name, value):
    with pytest.raises(ValueError, match=f"{name}: {value!r}, expected"):
        budgeting.spending(small[1], {name: value})


@pytest.mark.parametrize(
    ("epochs", "overrides", "expected"),
    [(2, {}, (2, None)), (2, {"refine": "scales"}, (1, 1)), (10, {"refine": "scales"}, (8, 2)),
     (3, {"refine": "scales", "epochs_factor": 4}, (9, 3))],
)  # fmt: skip
def test_refinement_is_in_the_budget(small, epochs, overrides, expected):
    budget = dataclasses.replace(small[1].budget, epochs=epochs)
    task = dataclasses.replace(small[1], budget=budget)
    method, refinement = budgeting.spending(task, overrides)
    assert (method.budget.epochs, refinement and refinement.budget.epochs) == expected


def test_one_epoch_cannot_be_shared(small):
    task = dataclasses.replace(small[1], budget=dataclasses.replace(small[1].budget, epochs=1))
    with pytest.raises(ValueError, match="refine: scales: takes one of 1 epochs and leaves none"):
        budgeting.spending(task, {"refine": "scales"})


def test_what_tables_make_of_it():
    rows = budgeting.describe({"levels": 5, "epochs_factor": 3})
    assert [row["parameter"] for row in rows] == ["epochs_factor"]
    assert rows[0]["role"] == "variant" and "{}" in rows[0]["words"]


def test_tables_know_them_all():
    assert tuple(budgeting.OVERRIDES) == keys.OVERRIDES
