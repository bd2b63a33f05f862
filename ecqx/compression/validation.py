"""What validation data say of a network in training, by which an epoch is chosen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ecqx.tasks.task import Task, predict


@dataclass(frozen=True)
class Validated:
    """Score and loss on validation data, see :class:`ecqx.tasks.task.Task`."""

    score: float
    loss: float

    @property
    def rank(self) -> tuple[float, float]:
        """Greater is better: score, then the lower loss; NaN ranks below every number."""
        return tuple(-math.inf if math.isnan(v) else v for v in (self.score, -self.loss))


def validated(network: torch.nn.Module, task: Task) -> Validated:
    """A network on validation data; it comes back as it was."""
    logits = predict(network, task.validation.x)
    y = task.validation.y
    return Validated(task.score(logits, y), float(task.loss(logits, y)))
