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


class Distillation:
    """A penalty: how far the logits of a minibatch are from those of the network it was made of.

    Of single labels the Kullback-Leibler divergence from the teacher's softmax, of several that of
    each class's sigmoid, summed over classes; both at temperature 4, times its square.

    Parameters
    ----------
    teacher : the full-precision network; a copy is kept, in evaluation mode
    multilabel : whether samples may have several classes
    """

    def __init__(self, teacher: torch.nn.Module, multilabel: bool) -> None:
        self.teacher = copy.deepcopy(teacher).eval()
        self.multilabel = multilabel

    def __call__(self, x: Tensor, y: Tensor, logits: Tensor) -> Tensor:
        aim = predict(self.teacher, x) / TEMPERATURE
        found = logits / TEMPERATURE
        if self.multilabel:
            divergence = sum(
                aim_part.exp() * (aim_part - found_part)
                for aim_part, found_part in (
                    (functional.logsigmoid(sign * aim), functional.logsigmoid(sign * found))
                    for sign in (1.0, -1.0)
                )
            )
        else:
            aim, found = aim.log_softmax(dim=1), found.log_softmax(dim=1)
            divergence = aim.exp() * (aim - found)
        return TEMPERATURE**2 * divergence.sum(dim=1).mean()


def takes_penalty(method: Method) -> bool:
    """Whether a method trains with an additional loss, if it is given one."""
    return "penalty" in inspect.signature(method.compress).parameters
