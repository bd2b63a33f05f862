"""Quantization-aware training with shadow weights and straight-through gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ecqx.compression.assigners import Assigner
from ecqx.compression.contract import Compressed, Diverged, Quantized, quantizable
from ecqx.seeding import global_seed
from ecqx.tasks.task import Task, predict

Penalty = Callable[[Tensor, Tensor], Tensor]


def train_quantized(
    model: torch.nn.Module,
    task: Task,
    assigner: Assigner,
    rng: torch.Generator,
    penalty: Penalty | None = None,
) -> Compressed:
    """Train a network whose weights are always on their grids.

    Full-precision shadow weights are kept beside the model. The forward and backward pass use the
    quantized weights; the gradient with respect to a quantized weight moves its shadow unchanged
    (straight-through estimator); after each step the shadows are assigned to levels anew. Adam,
    cosine annealing to zero over all steps, within ``task.budget``. The epoch with the best
    validation score is kept (the lower validation loss decides ties).

    Source: ECQx (arXiv 2109.04236), section 4.2; Bengio et al. 2013 for the estimator.

    Parameters
    ----------
    model : the network to train; it is altered.
    assigner : built from this model's full-precision weights
    rng : source of all randomness (order of the data, augmentation, dropout)
    penalty : optional addition to the loss, called as ``penalty(x, logits)`` right after the
        model's forward pass on x

    Raises
    ------
    Diverged: a training loss that is not finite.
    """
    weights = quantizable(model)
    shadows = {name: weight.detach().clone() for name, weight in weights.items()}
    others = [p for name, p in model.named_parameters() if name not in weights]
    optimizer = torch.optim.Adam(
        [*shadows.values(), *others], lr=task.budget.learning_rate, fused=True
    )
    total_steps = task.budget.epochs * task.steps_per_epoch
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total_steps)
    codes = _requantize(weights, shadows, assigner)
    history, best, best_rank = [], None, None
    with global_seed(rng):
        for epoch in range(1, task.budget.epochs + 1):
            model.train()
            total = 0.0
            for x, y in task.batches(rng):
                logits = model(x)
                loss = task.loss(logits, y)
                if penalty is not None:
                    loss = loss + penalty(x, logits)
                total += loss.detach()
                model.zero_grad(set_to_none=True)
                loss.backward()
                assigner.observe(model, shadows, x, y)
                for name, shadow in shadows.items():
                    shadow.grad = weights[name].grad
                optimizer.step()
                schedule.step()
                codes = _requantize(weights, shadows, assigner)
            train_loss = float(total) / task.steps_per_epoch
            if not torch.isfinite(torch.tensor(train_loss)):
                raise Diverged(f"the training loss became {train_loss} in epoch {epoch}")
            logits = predict(model, task.validation.x)
            score = task.score(logits, task.validation.y)
            loss = float(task.loss(logits, task.validation.y))
            history.append(
                {
                    "epoch": epoch,
                    "train_loss": train_loss,
                    "validation_loss": loss,
                    "validation_score": score,
                    "sparsity": zero_share(codes.values()),
                }
            )
            if best_rank is None or (score, -loss) > best_rank:
                best_rank, best_epoch = (score, -loss), epoch
                best = snapshot(model, codes, assigner)
    return Compressed(best, history, best_epoch)


@torch.no_grad()
def _requantize(
    weights: dict[str, torch.nn.Parameter], shadows: dict[str, Tensor], assigner: Assigner
) -> dict[str, Tensor]:
    """Put the model's weights on the levels of their shadows; the codes, by name."""
    codes = {}
    for name, weight in weights.items():
        codes[name] = assigner.codes(name, shadows[name])
        torch.mul(codes[name], assigner.grids[name].step, out=weight.data)
    return codes


def snapshot(
    model: torch.nn.Module, codes: dict[str, Tensor], assigner: Assigner
) -> dict[str, Tensor | Quantized]:
    """The whole network as it is now: quantized weights as codes, the rest copied."""
    return {
        name: Quantized(codes[name].clone(), assigner.grids[name].step)
        if name in codes
        else tensor.detach().clone()
        for name, tensor in model.state_dict().items()
    }


def quantize_once(model: torch.nn.Module, assigner: Assigner) -> Compressed:
    """Post-training quantization: one assignment, no training."""
    codes = {name: assigner.codes(name, w.detach()) for name, w in quantizable(model).items()}
    return Compressed(snapshot(model, codes, assigner))


def zero_share(codes) -> float:
    """Share of zeros over several code tensors; 0 if there are none."""
    codes = list(codes)
    total = sum(c.numel() for c in codes)
    return sum(int((c == 0).sum()) for c in codes) / total if total else 0.0
