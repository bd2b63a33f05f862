"""Training of a network whose weights are not on a grid yet, some of them held at zero."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ecqx.compression.artefact import size
from ecqx.compression.contract import Diverged, Penalty, quantizable
from ecqx.compression.validation import validated
from ecqx.seeding import generator, global_seed
from ecqx.tasks.task import Task

Masks = Mapping[str, Tensor]
"""Name of a parameter -> bool Tensor of its shape, False where it is zero and stays so."""


@dataclass(frozen=True)
class Trained:
    """What came of training.

    Attributes
    ----------
    history : one dict per epoch
    epoch : the epoch (from 1) that validation chose, in whose state the network is
    """

    history: list[dict[str, float]]
    epoch: int


def train_unquantized(
    model: torch.nn.Module,
    task: Task,
    penalty: Penalty | None = None,
    *,
    rounds: Iterable[tuple[int, Masks]],
    task_share: float = 1.0,
) -> Trained:
    """Train in rounds, each with an optimizer of its own: Adam, annealed to zero by a cosine.

    Of the last round, the epoch with the best validation score is kept (the lower validation loss
    decides ties); each round goes on from the last epoch of the one before.

    Parameters
    ----------
    model : the network to train; it is altered.
    penalty : optional addition to the loss, called as ``penalty(x, y, logits)`` right after the
        model's forward pass on x
    rounds : epochs of each, and its masks. A round is asked for when the one before is done, so
        that its masks may be made of what the network is then.
    task_share : by which the task's own loss is multiplied

    Raises
    ------
    Diverged : a training loss that is not finite.
    """
    parameters = dict(model.named_parameters())
    history: list[dict[str, float]] = []
    best, best_epoch = {}, 0
    # dropout and the like: the same draws for every method, as are the minibatches
    with global_seed(generator("layers", task.order_seed)):
        for epochs, masks in rounds:
            mask(parameters, masks)
            best_rank = None
            optimizer = torch.optim.Adam(
                parameters.values(), lr=task.budget.learning_rate, fused=True
            )
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
                optimizer, epochs * task.steps_per_epoch
            )
            for _ in range(epochs):
                epoch = len(history) + 1
                model.train()
                losses = []
                for x, y in task.batches(epoch):
                    logits = model(x)
                    loss = task_share * task.loss(logits, y)
                    if penalty is not None:
                        loss = loss + penalty(x, y, logits)
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    for name, kept in masks.items():
                        if parameters[name].grad is not None:
                            parameters[name].grad.mul_(kept)
                    optimizer.step()
                    schedule.step()
                    losses.append(loss.detach())
                train_loss = float(torch.stack(losses).mean())
                if not math.isfinite(train_loss):
                    raise Diverged(
                        f"the training loss became {train_loss} in epoch {epoch}", history
                    )
                found = validated(model, task)
                history.append(
                    {
                        "epoch": epoch,
                        "train_loss": train_loss,
                        "validation_loss": found.loss,
                        "validation_score": found.score,
                        "sparsity": size.sparsity(quantizable(model)),
                    }
                )
                if best_rank is None or found.rank > best_rank:
                    best_rank, best_epoch = found.rank, epoch
                    best = copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    return Trained(history, best_epoch)


@torch.no_grad()
def mask(parameters: Mapping[str, Tensor], masks: Masks) -> None:
    """Put what the masks exclude at zero."""
    for name, kept in masks.items():
        parameters[name].mul_(kept)
