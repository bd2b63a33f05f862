"""What an operating point may ask for beside the parameters of its method.

Four names are reserved in the points of every method: ``learning_rate``, of the first step, and
``epochs_factor``, by which the epochs of the task are multiplied, serve to tune all methods alike
and to give one method the time that another takes. ``refine: scales`` spends a quarter of the
epochs on scales, shifts and biases, see :mod:`ecqx.compression.refinement`; ``distil: true`` adds
the logits of full precision to the loss, see :mod:`ecqx.compression.distillation`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ecqx.tasks.task import Task

REFINEMENTS = ("scales",)
# name -> how tables and figures treat it: kind, label of an axis, words in the name of a variant
OVERRIDES = {
    "learning_rate": ("float", "learning rate", "learning rate {}"),
    "epochs_factor": ("int", "epochs of the budget, times", "{} times the epochs"),
    "refine": ("str", "refinement", "{} refined"),
    "distil": ("bool", "distillation", "distilled"),
}


def split(params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of a point: those of its method, and what else it asks for."""
    own = {name: value for name, value in params.items() if name not in OVERRIDES}
    return own, {name: value for name, value in params.items() if name in OVERRIDES}


def check(overrides: Mapping[str, Any]) -> None:
    """``ValueError`` that names key, value and expectation, unless a budget can have them."""
    factor = overrides.get("epochs_factor", 1)
    if type(factor) is not int or factor < 1:
        raise ValueError(f"epochs_factor: {factor!r}, expected an integer of at least 1")
    rate = overrides.get("learning_rate", 1.0)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not rate > 0:
        raise ValueError(f"learning_rate: {rate!r}, expected a number above 0")
    if type(overrides.get("distil", True)) is not bool:
        raise ValueError(f"distil: {overrides['distil']!r}, expected true or false")
    refine = overrides.get("refine", REFINEMENTS[0])
    if refine not in REFINEMENTS:
        raise ValueError(f"refine: {refine!r}, expected {' or '.join(REFINEMENTS)}")


def spending(task: Task, overrides: Mapping[str, Any]) -> tuple[Task, Task | None]:
    """The task with the budget that a method has, and the one that the refinement has, if any.

    Together they have the epochs of the task, times the factor.

    Raises
    ------
    ValueError : a value that a budget cannot have.
    """
    check(overrides)
    epochs = overrides.get("epochs_factor", 1) * task.budget.epochs
    rate = float(overrides.get("learning_rate", task.budget.learning_rate))
    refining = max(1, epochs // 4) if "refine" in overrides else 0
    if refining == epochs:
        raise ValueError(
            f"refine: {overrides['refine']}: takes one of {epochs} epochs and leaves none to the "
            "method, expected a budget of two or more"
        )
    method, refinement = (
        dataclasses.replace(
            task, budget=dataclasses.replace(task.budget, epochs=n, learning_rate=rate)
        )
        for n in (epochs - refining, refining or epochs)
    )
    return method, refinement if refining else None


def describe(params: Mapping[str, Any]) -> list[dict[str, str]]:
    """What tables and figures make of the overrides of a point, as of a method's parameters.

    See :func:`ecqx.compression.contract.describe_parameters`. They make variants, and no value is
    usual, the default is that of the task; but of a switch, which is off.
    """
    rows = []
    for name in split(params)[1]:
        kind, label, words = OVERRIDES[name]
        default = "False" if kind == "bool" else "nan"
        rows.append({"parameter": name, "kind": kind, "role": "variant", "default": default,
                     "label": label, "words": words})  # fmt: skip
    return rows
