"""The logits of the full-precision network as an additional loss, for any method that trains.

Source: Hinton et al. [hinton2015distilling], section 2: temperature, and gradients scaled by its
square. Deviation: beside the loss of the task with equal weight, as these networks start from their
teacher.
"""

from __future__ import annotations

import copy
import inspect

import torch
from torch import Tensor
from torch.nn import functional

from ecqx.compression.contract import Method
from ecqx.tasks.task import predict

TEMPERATURE = 4.0


class Teacher:
    """A trained network that another one is to resemble, frozen and in evaluation mode.

    It keeps the logits of the minibatch that it saw last, so that several losses on one minibatch
    share a forward pass.

    Parameters
    ----------
    network : it is copied
    """

    def __init__(self, network: torch.nn.Module) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._last: tuple[Tensor, Tensor] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Logits of a minibatch, in the caller's gradient mode."""
        logits = self.network(x)
        self._last = x, logits.detach()
        return logits

    def logits(self, x: Tensor) -> Tensor:
        """Logits without gradients; those of the last call where that was of this minibatch."""
        if self._last is not None and self._last[0] is x:
            return self._last[1]
        return predict(self.network, x)


class Distillation:
    """A penalty: how far the logits of a minibatch are from those of the network it was made of.

    Of single labels the Kullback-Leibler divergence from the teacher's softmax, of several the mean
    over classes of that from each class's sigmoid; both at temperature 4, times its square.

    Parameters
    ----------
    teacher : the full-precision network
    multilabel : whether samples may have several classes
    """

    def __init__(self, teacher: Teacher, multilabel: bool) -> None:
        self.teacher = teacher
        self.multilabel = multilabel

    def __call__(self, x: Tensor, y: Tensor, logits: Tensor) -> Tensor:
        aim = self.teacher.logits(x) / TEMPERATURE
        found = logits / TEMPERATURE
        if self.multilabel:
            divergence = sum(
                aim_part.exp() * (aim_part - found_part)
                for aim_part, found_part in (
                    (functional.logsigmoid(sign * aim), functional.logsigmoid(sign * found))
                    for sign in (1.0, -1.0)
                )
            ).mean(dim=1)
        else:
            aim, found = aim.log_softmax(dim=1), found.log_softmax(dim=1)
            divergence = (aim.exp() * (aim - found)).sum(dim=1)
        return TEMPERATURE**2 * divergence.mean()


def takes_penalty(method: Method) -> bool:
    """Whether a method trains with an additional loss, if it is given one."""
    return "penalty" in inspect.signature(method.compress).parameters


def check_distillable(method: Method) -> None:
    """``ValueError`` unless ``distil: true`` adds something to the method's own loss."""
    if not takes_penalty(method):
        raise ValueError(
            "distil: true: the method takes no further loss, expected a point without it"
        )
    if getattr(method, "matching", None) == "e2kd" and method.gamma > 0:
        raise ValueError(
            "distil: true: with matching: e2kd the logits are in the loss already, expected a "
            "point without it"
        )
