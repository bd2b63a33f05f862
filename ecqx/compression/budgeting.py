"""What an operating point may change of its task's budget, beside the parameters of its method.

Two names are reserved in the points of every method: ``learning_rate``, of the first step, and
``epochs_factor``, by which the epochs of the task are multiplied. They serve to tune all methods
alike and to give one method the time that another takes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ecqx.tasks.task import Task

# name -> how tables and figures treat it: kind, label of an axis, words in the name of a variant
OVERRIDES = {
    "learning_rate": ("float", "learning rate", "learning rate {}"),
    "epochs_factor": ("int", "epochs of the budget, times", "{} times the epochs"),
}


def split(params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of a point: those of its method, and what it changes of the budget."""
    own = {name: value for name, value in params.items() if name not in OVERRIDES}
    return own, {name: value for name, value in params.items() if name in OVERRIDES}


def spending(task: Task, overrides: Mapping[str, Any]) -> Task:
    """The task with the budget that the overrides leave.

    Raises
    ------
    ValueError : a value that a budget cannot have.
    """
    factor = overrides.get("epochs_factor", 1)
    if type(factor) is not int or factor < 1:
        raise ValueError(f"epochs_factor: {factor!r}, expected an integer of at least 1")
    rate = overrides.get("learning_rate", task.budget.learning_rate)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not rate > 0:
        raise ValueError(f"learning_rate: {rate!r}, expected a number above 0")
    budget = dataclasses.replace(
        task.budget, epochs=factor * task.budget.epochs, learning_rate=float(rate)
    )
    return dataclasses.replace(task, budget=budget)


def describe(params: Mapping[str, Any]) -> list[dict[str, str]]:
    """What tables and figures make of the overrides of a point, as of a method's parameters.

    See :func:`ecqx.compression.contract.describe_parameters`. They make variants, and no value is
    usual: the default is that of the task.
    """
    rows = []
    for name in split(params)[1]:
        kind, label, words = OVERRIDES[name]
        rows.append({"parameter": name, "kind": kind, "role": "variant", "default": "nan",
                     "label": label, "words": words})  # fmt: skip
    return rows
