"""Training what is sent beside the codes anyway: scales, shifts and biases, with the codes frozen.

An artefact has a scale and a shift for each channel of a batch norm, and biases. Fitting them to
the quantized weights costs training, but no byte.

Source: local scaling adaptation of ISO/IEC 15938-17 [iso2022nnc], here of the scales of batch norms
rather than of scales that come on top, and of shifts and biases as well.
"""

from __future__ import annotations

import copy
import dataclasses
import math

import torch

from ecqx.compression.artefact import bitstream
from ecqx.compression.contract import Compressed, Diverged, Quantized
from ecqx.compression.validation import validated
from ecqx.seeding import generator, global_seed
from ecqx.tasks.task import Task

LEARNING_RATE = 1e-3


def refine_scales(
    compressed: Compressed, model: torch.nn.Module, task: Task, first_epoch: int
) -> Compressed:
    """Train scales, shifts and biases of a compressed network; its weights stay as they are.

    In evaluation mode, with Adam and cosine annealing to zero. The network is kept as it was unless
    an epoch is better on validation (the lower validation loss decides ties).

    Parameters
    ----------
    compressed : what a method returned
    model : the network whose state that is; it stays as it is
    task : its budget has the epochs of the refinement alone
    first_epoch : number of the first of them, behind those that the method has gone through

    Raises
    ------
    ValueError : the network has nothing to refine.
    Diverged : a training loss that is not finite.
    """
    network = _decoded(compressed, model)
    trained = {n: p for n, p in network.named_parameters() if p.ndim < 2}
    if not trained:
        raise ValueError("refine: scales: the network has neither batch norms nor biases")
    for parameter in network.parameters():
        parameter.requires_grad_(parameter.ndim < 2)
    steps = task.budget.epochs * task.steps_per_epoch
    optimizer = torch.optim.Adam(trained.values(), lr=LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    history = list(compressed.history)
    columns = {
        name: history[compressed.epoch - 1][name]
        for name in ("sparsity", "entropy_bytes")
        if compressed.epoch is not None and name in history[0]
    }
    best_rank = validated(network, task).rank
    best, best_epoch = {}, compressed.epoch
    with global_seed(generator("layers", task.order_seed)):
        for epoch in range(first_epoch, first_epoch + task.budget.epochs):
            losses = []
            for x, y in task.batches(epoch):
                loss = task.loss(network(x), y)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(loss.detach())
            train_loss = float(torch.stack(losses).mean())
            if not math.isfinite(train_loss):
                raise Diverged(f"the training loss became {train_loss} in epoch {epoch}", history)
            found = validated(network, task)
            row = {
                "epoch": epoch,
                "train_loss": train_loss,
                "validation_loss": found.loss,
                "validation_score": found.score,
                **columns,
            }
            history.append(row)
            if found.rank > best_rank:
                best_rank, best_epoch = found.rank, epoch
                best = {name: p.detach().clone() for name, p in trained.items()}
    # without a better epoch, that of the method; of one that did not train, 0: as it was before
    return dataclasses.replace(
        compressed,
        tensors=compressed.tensors | _with_shared(best, model),
        history=history,
        epoch=best_epoch or 0,
    )


def _decoded(compressed: Compressed, model: torch.nn.Module) -> torch.nn.Module:
    """The network with the weights that its bitstream will have, in evaluation mode."""
    weights = bitstream.decode(bitstream.encode(compressed.tensors, model))
    network = copy.deepcopy(model).eval()
    network.load_state_dict(
        {
            name: entry if isinstance(entry, torch.Tensor)
            else entry.dequantize() if isinstance(entry, Quantized)
            else weights[name]
            for name, entry in compressed.tensors.items()
        }
    )  # fmt: skip
    return network


def _with_shared(
    tensors: dict[str, torch.Tensor], model: torch.nn.Module
) -> dict[str, torch.Tensor]:
    """The tensors under all names that the state dict has for them."""
    state = model.state_dict(keep_vars=True)
    by_identity = {id(state[name]): tensor for name, tensor in tensors.items()}
    return {
        name: by_identity[id(tensor)] for name, tensor in state.items() if id(tensor) in by_identity
    }
