"""ECQx on a network of one's own, in one call."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ecqx.compression import bitstream, size
from ecqx.compression.ecqx import ECQx
from ecqx.compression.run import compress_point
from ecqx.tasks.data import Split
from ecqx.tasks.task import Budget, Task, accuracy_score


@dataclass(frozen=True)
class CompressedModel:
    """A network and the bitstream it was decoded from.

    Attributes
    ----------
    model : the network with the decoded weights, in evaluation mode
    artefact : the bitstream; ``ecqx.compression.bitstream.decode`` reads it
    compression_ratio : 4 bytes for every parameter and buffer, over the bitstream's bytes
    sparsity : share of zeros among the weights of two or more dimensions
    history : a dict per epoch of training
    epoch : the epoch chosen on validation, from 1
    """

    model: torch.nn.Module
    artefact: bytes
    compression_ratio: float
    sparsity: float
    history: list[dict[str, float]]
    epoch: int


def compress(
    model: torch.nn.Module,
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    *,
    epochs: int = 20,
    learning_rate: float = 1e-4,
    batch_size: int = 64,
    seed: int = 0,
    loss: Callable[[Tensor, Tensor], Tensor] = torch.nn.functional.cross_entropy,
    score: Callable[[Tensor, Tensor], float] = accuracy_score,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    **options: Any,
) -> CompressedModel:
    """Compress a trained network with ECQx; the network itself stays as it is.

    Parameters
    ----------
    model : trained classifier: inputs (n, C, H, W) to logits (n, classes). Its layers need LRP
        rules (linear and convolutional layers, batch norm, rectifiers, pooling; residual sums as
        ``zennit.layer.Sum``), unless ``relevance`` is one that needs none.
    train, validation : inputs (n, C, H, W) float32 and classes (n,) int64. The epoch is chosen on
        validation. Keep test data out of both.
    epochs, learning_rate, batch_size : Adam with cosine annealing
    seed : of all randomness
    loss : (logits, classes) -> scalar; score : (logits, classes) -> float, higher is better
    augment : random variations of a batch, drawn from the generator alone
    **options : hyper-parameters of :class:`ecqx.compression.ecqx.ECQx`: ``bits``, ``lam``, ``p``,
        ``relevance`` ...

    Raises
    ------
    ValueError: an option that is unknown or out of range, data of the wrong form, or a layer
        without an LRP rule; the message names it.
    RuntimeError: training diverged.

    Examples
    --------
    >>> import torch, ecqx
    >>> _ = torch.manual_seed(0)
    >>> y = torch.arange(96) % 3
    >>> x = torch.nn.functional.one_hot(y, 64).float().view(-1, 1, 8, 8)
    >>> x = x + 0.1 * torch.randn(96, 1, 8, 8)
    >>> network = torch.nn.Sequential(
    ...     torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3)
    ... )
    >>> result = ecqx.compress(
    ...     network, (x[:64], y[:64]), (x[64:], y[64:]), bits=4, lam=0.3, epochs=2
    ... )
    >>> result.compression_ratio > 4
    True
    >>> decoded = ecqx.compression.bitstream.decode(result.artefact)
    >>> torch.equal(decoded["1.weight"], result.model[1].weight)
    True
    """
    classes = int(max(train[1].max(), validation[1].max())) + 1
    task = Task(
        "own/model",
        Split(*train),
        Split(*validation),
        classes,
        Budget(epochs, learning_rate, batch_size),
        augment=augment,
        loss=loss,
        score=score,
    )
    outcome = compress_point(ECQx, options, model, task, ("compress", seed))
    if outcome.status != "ok":
        raise RuntimeError(f"compression {outcome.status}: {outcome.reason}")
    state = bitstream.decode(outcome.artefact)
    return CompressedModel(
        model=bitstream.load(copy.deepcopy(model), state).eval(),
        artefact=outcome.artefact,
        compression_ratio=size.full_precision_bytes(model) / len(outcome.artefact),
        sparsity=size.sparsity(state),
        history=outcome.history,
        epoch=outcome.epoch,
    )
