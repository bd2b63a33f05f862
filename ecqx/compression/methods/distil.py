"""Distillation into a narrower student, with or without attribution matching.

Source: WCAM [park2020wcam], section 4; Hinton et al. [hinton2015distilling] for the loss.
Deviations: Adam with the task's budget rather than SGD over 350 epochs; of several labels the loss
on the logits is the mean over classes; the student is quantized in the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ecqx.compression.architecture import network_of
from ecqx.compression.contract import Compressed, check_range, parameter
from ecqx.compression.distillation import Distillation, Teacher
from ecqx.compression.methods.matched import Matched, together
from ecqx.compression.methods.quantizer import PostTrainingQuantizer
from ecqx.compression.unquantized_training import train_unquantized
from ecqx.seeding import generator, global_seed
from ecqx.tasks.task import Task

ALPHA = 0.9  # weight of the loss on the logits; that on the labels has the rest


@dataclass(frozen=True)
class Distil(Matched, PostTrainingQuantizer):
    """A student ``width`` times as wide as the model, trained from a random start."""

    width: float = parameter(0.5, label="width of the student")
    matching: str = parameter("none", words="{}")

    def __post_init__(self):
        super().__post_init__()
        check_range("width", self.width, 0.001, 1.0)

    def skip(self, model, task) -> str | None:
        """That the model takes no width, or that the student's maps cannot be matched."""
        try:
            student = self._student(model, task, generator("tried"))
        except ValueError as error:
            return str(error)
        return self.unmatchable(student, model, task)

    def compress(self, model, task, rng) -> Compressed:
        """See :class:`ecqx.compression.contract.Method`."""
        student, teacher = self._student(model, task, rng), Teacher(model)
        knowledge = Distillation(teacher, task.train.multilabel)

        def of_logits(x, y, logits):
            return ALPHA * knowledge(x, y, logits)

        with self.penalties(student, teacher, task, rng) as matching:
            trained = train_unquantized(
                student,
                task,
                together([*matching, of_logits]),
                rounds=[(task.budget.epochs, {})],
                task_share=1 - ALPHA,
            )
        tensors = self.quantized(student, task, rng)
        return Compressed(tensors, trained.history, trained.epoch, {"width": self.width})

    def _student(self, model: torch.nn.Module, task: Task, rng: torch.Generator) -> torch.nn.Module:
        with global_seed(rng):
            return network_of({"width": self.width}, model, task)
