"""Hyper-parameters of attribution matching, which several methods share.

Source: WCAM [park2020wcam] and e2KD [parchami2024e2kd], see
:mod:`ecqx.compression.methods.matching`. In a network without convolutions the last hidden
activation vector takes the place of the feature map, each unit a position of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ecqx.compression.contract import Penalty, check_choice, check_range, parameter
from ecqx.compression.distillation import Distillation, Teacher
from ecqx.compression.methods.matching import FORCES, MATCHINGS, AttributionMatching
from ecqx.tasks.task import Task


@dataclass(frozen=True)
class Matched:
    """What is matched, and how strongly; to be inherited from in front of a method's other fields.

    ``matching`` is how a feature map is collapsed: ``ewa``, ``swa``, ``sswa`` or ``e2kd``, which
    has the logits of full precision in its loss as well; ``none`` matches nothing. ``gamma`` weighs
    the penalty; with 0 nothing is matched. With ``force: equal`` it is as strong on maps of any
    size as on the paper's. ``interval`` matches in every so many steps. ``layers`` names the layers
    that are matched, separated by commas; with none it is the last feature map. ``dropped`` is the
    share of the teacher's channels that ``sswa`` leaves out of each step, and means nothing to the
    others.
    """

    gamma: float = parameter(100.0, role="variant", label="γ: weight of the matching")
    matching: str = parameter("swa", words="{}")
    force: str = parameter("paper", words="{} force")
    interval: int = parameter(1, role="variant", words="matched every {} steps")
    layers: str = ""
    dropped: float = parameter(0.3, role="variant", words="{} of the channels dropped")

    def __post_init__(self):
        super().__post_init__()
        check_range("gamma", self.gamma, 0.0, 1.0e6)
        check_choice("matching", self.matching, ("none", *MATCHINGS))
        check_choice("force", self.force, FORCES)
        check_range("interval", self.interval, 1, 1_000_000)
        layer_names(self.layers)
        check_range("dropped", self.dropped, 0.0, 1.0)

    @property
    def matches(self) -> bool:
        """Whether anything is matched at all."""
        return self.gamma > 0 and self.matching != "none"

    def unmatchable(
        self, student: torch.nn.Module, teacher: torch.nn.Module, task: Task
    ) -> str | None:
        """Why the maps of two networks cannot be matched; None if they can."""
        if not self.matches:
            return None
        try:
            self._matching(student, Teacher(teacher), task, torch.Generator())
        except ValueError as error:
            return str(error)
        return None

    @contextmanager
    def penalties(
        self, student: torch.nn.Module, teacher: Teacher, task: Task, rng: torch.Generator
    ) -> Iterator[list[Penalty]]:
        """What the matching adds to the loss while the student trains; nothing if there is none.

        Parameters
        ----------
        student : hooks are on it inside the context only
        teacher : whose maps are kept
        rng : its seed decides on the channels that ``sswa`` leaves out

        Raises
        ------
        ValueError : a layer that the networks lack, or whose maps cannot be matched.
        """
        if not self.matches:
            yield []
            return
        with self._matching(student, teacher, task, rng) as matching:
            yield [matching]

    def _matching(
        self, student: torch.nn.Module, teacher: Teacher, task: Task, rng: torch.Generator
    ) -> AttributionMatching:
        return AttributionMatching(
            student,
            task.train.x[:1].to(task.device),
            teacher=teacher,
            gamma=self.gamma,
            matching=self.matching,
            force=self.force,
            interval=self.interval,
            layers=layer_names(self.layers),
            dropped=self.dropped,
            rng=rng,
        )


class Resembling(Matched):
    """Matching with which a network is kept close to the one that it was made of."""

    @contextmanager
    def penalty(
        self, model: torch.nn.Module, task: Task, rng: torch.Generator, penalty: Penalty | None
    ) -> Iterator[Penalty | None]:
        """What is added to the loss: the matching, with ``e2kd`` the logits, and what was given.

        Parameters
        ----------
        model : the network in training; as it is now, it is the teacher too
        penalty : from outside, optional
        """
        if not self.matches:
            yield penalty
            return
        teacher = Teacher(model)
        with self.penalties(model, teacher, task, rng) as parts:
            if self.matching == "e2kd":
                parts = [*parts, Distillation(teacher, task.train.multilabel)]
            if penalty is not None:
                parts = [*parts, penalty]
            yield together(parts)


def together(penalties: list[Penalty]) -> Penalty:
    """The sum of penalties as one; the first is computed first."""

    def penalty(x, y, logits):
        found = penalties[0](x, y, logits)
        for part in penalties[1:]:
            found = found + part(x, y, logits)
        return found

    return penalty if len(penalties) > 1 else penalties[0]


def layer_names(text: str) -> list[str]:
    """Names of layers from a comma-separated list; the empty string names none.

    Raises
    ------
    ValueError : a name is empty or given twice.
    """
    if not text.strip():
        return []
    names = [name.strip() for name in text.split(",")]
    if "" in names or len(set(names)) < len(names):
        raise ValueError(
            f"layers: {text!r} has an empty or a repeated name, expected different names of layers"
        )
    return names
