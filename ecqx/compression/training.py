"""Quantization-aware training with shadow weights and straight-through gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ecqx.compression.artefact import size
from ecqx.compression.assignment.assigners import Assigner
from ecqx.compression.assignment.grid import Grid
from ecqx.compression.contract import Compressed, Diverged, Penalty, Quantized, quantizable
from ecqx.compression.validation import validated
from ecqx.seeding import generator, global_seed
from ecqx.tasks.task import Loss, Task


class QuantizedTraining:
    """A network whose weights are always on their grids, one optimizer step at a time.

    Full-precision shadow weights are kept beside the model. The forward and backward pass use the
    quantized weights; the assigner makes of the gradient with respect to a quantized weight that of
    its shadow (by default the same: straight-through estimator) and of what it trains itself; after
    each step the shadows are assigned to levels anew. Adam, cosine annealing to zero over all
    steps.

    Source: ECQx [becking2021ecqx], section 4.2; Bengio et al. [bengio2013estimating] for the
    estimator.

    Parameters
    ----------
    model : the network to train; it is altered.
    assigner : built from this model's full-precision weights
    learning_rate : of the first step, for all that brings none of its own
    total_steps : steps until the learning rate is zero
    """

    def __init__(
        self, model: torch.nn.Module, assigner: Assigner, learning_rate: float, total_steps: int
    ) -> None:
        self.model, self.assigner = model, assigner
        self.weights = quantizable(model)
        self.shadows = {name: weight.detach().clone() for name, weight in self.weights.items()}
        others = [p for name, p in model.named_parameters() if name not in self.weights]
        self.optimizer = torch.optim.Adam(
            [
                {"params": [*self.shadows.values(), *others]},
                *assigner.parameter_groups(learning_rate),
            ],
            lr=learning_rate,
            fused=True,
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, total_steps)
        self._requantize()

    def step(self, loss_function: Loss, x: Tensor, y: Tensor, penalty: Penalty | None) -> Tensor:
        """One minibatch; its loss, detached."""
        logits = self.model(x)
        loss = loss_function(logits, y)
        if penalty is not None:
            loss = loss + penalty(x, y, logits)
        self.model.zero_grad(set_to_none=True)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.assigner.observe(self.model, self.shadows, x, y)
        gradients = {n: w.grad for n, w in self.weights.items() if w.grad is not None}
        with torch.no_grad():
            for name, gradient in self.assigner.backward(self.shadows, gradients).items():
                self.shadows[name].grad = gradient
        self.optimizer.step()
        self.schedule.step()
        self._requantize()
        return loss.detach()

    @torch.no_grad()
    def _requantize(self) -> None:
        """Put the model's weights on the levels of their shadows."""
        self.codes = self.assigner.codes(self.shadows)
        for name, weight in self.weights.items():
            # two passes: a product of integers and a number converts block by block
            weight.data.copy_(self.codes[name]).mul_(self.assigner.grids[name].step)


def train_quantized(
    model: torch.nn.Module,
    task: Task,
    assigner: Assigner,
    penalty: Penalty | None = None,
) -> Compressed:
    """Quantization-aware training within ``task.budget``; see :class:`QuantizedTraining`.

    Of the epochs in which the assigner's constraint is in force, the one with the best validation
    score is kept (the lower validation loss decides ties); the last epoch if there is none.

    Parameters
    ----------
    model : the network to train; it is altered.
    assigner : built from this model's full-precision weights
    penalty : optional addition to the loss, called as ``penalty(x, y, logits)`` right after the
        model's forward pass on x

    Raises
    ------
    Diverged : a training loss that is not finite.
    """
    epochs, steps = task.budget.epochs, task.steps_per_epoch
    training = QuantizedTraining(model, assigner, task.budget.learning_rate, epochs * steps)
    history, best, best_rank = [], {}, None
    # dropout and the like: the same draws for every method, as are the minibatches
    with global_seed(generator("layers", task.order_seed)):
        for epoch in range(1, epochs + 1):
            model.train()
            losses = [training.step(task.loss, x, y, penalty) for x, y in task.batches(epoch)]
            train_loss = float(torch.stack(losses).mean())
            if not math.isfinite(train_loss):
                raise Diverged(f"the training loss became {train_loss} in epoch {epoch}", history)
            found = validated(model, task)
            history.append(
                {
                    "epoch": epoch,
                    "train_loss": train_loss,
                    "validation_loss": found.loss,
                    "validation_score": found.score,
                    "sparsity": zero_share(training.codes.values()),
                    "entropy_bytes": sum(
                        codes.numel() * size.entropy_bits(codes) / 8
                        for codes in training.codes.values()
                        if codes.numel()
                    ),
                }
            )
            if not assigner.in_force(epoch, epochs) and (epoch < epochs or best):
                continue
            if best_rank is None or found.rank > best_rank:
                best_rank, best_epoch = found.rank, epoch
                best = snapshot(model, training.codes, assigner.grids)
    return Compressed(best, history, best_epoch)


def snapshot(
    model: torch.nn.Module, codes: Mapping[str, Tensor], grids: Mapping[str, Grid]
) -> dict[str, Tensor | Quantized]:
    """The whole network as it is now: quantized weights as codes, the rest copied."""
    # a weight that is used twice has two names in the state dict
    owner = {id(weight): name for name, weight in quantizable(model).items()}
    tensors: dict[str, Tensor | Quantized] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        own = owner.get(id(tensor))
        tensors[name] = (
            tensor.detach().clone()
            if own is None
            else Quantized(codes[own].clone(), grids[own].step)
        )
    return tensors


def quantize_once(model: torch.nn.Module, assigner: Assigner) -> Compressed:
    """Post-training quantization: one assignment, no training."""
    codes = assigner.codes({name: w.detach() for name, w in quantizable(model).items()})
    return Compressed(snapshot(model, codes, assigner.grids))


def zero_share(codes: Iterable[Tensor]) -> float:
    """Share of zeros over several code tensors; 0 if there are none."""
    codes = list(codes)
    total = sum(c.numel() for c in codes)
    return sum(int((c == 0).sum()) for c in codes) / total if total else 0.0
