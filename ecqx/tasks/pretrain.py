"""Full-precision training: where every compression starts, and what it is compared with."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ecqx.seeding import derive_seed, generator, global_seed
from ecqx.tasks import models
from ecqx.tasks.data import Dataset
from ecqx.tasks.layout import lay_out
from ecqx.tasks.task import Budget, Task, predict


@dataclass(frozen=True)
class Pretrained:
    """A trained network and how it came about.

    Parameters
    ----------
    model : nn.Module, the checkpoint of the chosen epoch, in evaluation mode, on the CPU.
    history : list of dict, one row per epoch: epoch (from 1), learning_rate (of its last step),
        train_loss, validation_loss, validation_score.
    epoch : int, the chosen epoch, from 1.
    start : str, where the weights came from before training.
    score : float, of the checkpoint, on validation.
    """

    model: nn.Module
    history: list[dict[str, float]]
    epoch: int
    start: str
    score: float


def pretrain(
    build: Callable[[tuple[int, int, int], int], nn.Module],
    task: Task,
    rng: torch.Generator,
    weight_decay: float = 0.0,
    pretrained: Callable[[nn.Module], str] | None = None,
) -> Pretrained:
    """Train a new network with Adam and keep the epoch that is best on validation.

    Parameters
    ----------
    build : callable (input_shape, n_classes) -> nn.Module
    task : Task, its budget is spent here, on its device.
    rng : torch.Generator, decides on initialisation and dropout; order and augmentation of the
        batches are the task's. Torch's global generators come back as they were.
    weight_decay : float, at least 0; decoupled from the gradient (AdamW,
        [loshchilov2019adamw]), and spared on biases and normalisation, which it would only pull
        away from where the data put them.
    pretrained : callable (model) -> str, optional; puts weights learnt elsewhere into the new
        network, and says which; see :mod:`ecqx.tasks.models`.

    Returns
    -------
    Pretrained
        The checkpoint has the best validation score, the lowest validation loss among equals.

    Raises
    ------
    ValueError : weight_decay negative, or no parameter of the network is to be trained.
    FloatingPointError : the loss stopped being finite.
    """
    if weight_decay < 0:
        raise ValueError(f"weight_decay is {weight_decay}, expected at least 0")
    with global_seed(rng):
        model = build(task.input_shape, task.n_classes)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ValueError(
                "the network is frozen: requires_grad is False for all of its parameters, "
                "expected some to train, or a checkpoint"
            )
        start = pretrained(model) if pretrained is not None else "random initialisation"
        lay_out(model.to(task.device))
        optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in model.parameters() if p.ndim > 1]},
                {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=task.budget.learning_rate,
            weight_decay=weight_decay,
            fused=True,
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, T_max=task.budget.epochs * task.steps_per_epoch
        )
        history: list[dict[str, float]] = []
        best, best_epoch, checkpoint = (-math.inf, -math.inf), 0, {}
        for epoch in range(1, task.budget.epochs + 1):
            learning_rate, train_loss = _train_epoch(model, task, epoch, optimizer, schedule)
            logits = predict(model, task.validation.x)
            validation_loss = task.loss(logits, task.validation.y).item()
            score = task.score(logits, task.validation.y)
            if not (math.isfinite(train_loss) and math.isfinite(validation_loss)):
                raise FloatingPointError(f"{task.name}: loss not finite in epoch {epoch}")
            history.append(
                {
                    "epoch": epoch,
                    "learning_rate": learning_rate,
                    "train_loss": train_loss,
                    "validation_loss": validation_loss,
                    "validation_score": score,
                }
            )
            if (score, -validation_loss) > best:
                best, best_epoch = (score, -validation_loss), epoch
                checkpoint = copy.deepcopy(model.state_dict())
    model.load_state_dict(checkpoint)
    # the last gradients belong to another epoch's weights
    model.zero_grad(set_to_none=True)
    return Pretrained(model.eval().cpu(), history, best_epoch, start, best[0])


def full_precision(
    dataset: Dataset,
    model: str,
    settings: Mapping[str, float],
    seed: int,
    device: torch.device,
    root: Path | None = None,
) -> Pretrained:
    """The full-precision network of a task and seed, as every part of the benchmark takes it.

    Parameters
    ----------
    dataset : Dataset
    model : str, name of a model.
    settings : mapping, ``pretraining`` of a task: epochs, learning_rate, batch_size, weight_decay.
    seed : int
    device : torch.device, to train on.
    root : Path, optional; where weights that were learnt elsewhere lie.

    Raises
    ------
    ValueError, OSError, FloatingPointError : as :func:`pretrain`; there is no such model, or its
        files are not what it expects.
    """
    module = models.get(model)
    budget = {name: value for name, value in settings.items() if name != "weight_decay"}
    order = derive_seed("order", "pretrain", dataset.name, model, seed)
    task = Task.from_dataset(dataset, model, Budget(**budget), order).to(device)
    learnt = getattr(module, "pretrained", None)
    begin = functools.partial(learnt, root=root) if learnt else None
    rng = generator("pretrain", dataset.name, model, seed)
    return pretrain(module.build, task, rng, settings["weight_decay"], begin)


def _train_epoch(
    model: nn.Module,
    task: Task,
    epoch: int,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> tuple[float, float]:
    """One pass over the training data; (learning rate of the last step, mean loss per sample)."""
    model.train()
    losses, sizes = [], []
    for x, y in task.batches(epoch):
        learning_rate = schedule.get_last_lr()[0]
        optimizer.zero_grad()
        loss = task.loss(model(x), y)
        loss.backward()
        optimizer.step()
        schedule.step()
        # read after the epoch: reading it here would make a GPU wait
        losses.append(loss.detach())
        sizes.append(len(y))
    weighted = zip(torch.stack(losses).tolist(), sizes, strict=True)
    return learning_rate, sum(loss * size for loss, size in weighted) / sum(sizes)
