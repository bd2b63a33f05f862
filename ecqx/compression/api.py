"""ECQx on a network of one's own, in one call."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ecqx.compression.artefact import bitstream, size
from ecqx.compression.methods.ecqx import ECQx
from ecqx.compression.run import compress_point
from ecqx.seeding import derive_seed
from ecqx.tasks.data import Split
from ecqx.tasks.scores import accuracy_score, mean_average_precision, multilabel_loss
from ecqx.tasks.task import Budget, Task, device_of, predict


@dataclass(frozen=True)
class CompressedModel:
    """A network and the bitstream it was decoded from.

    Attributes
    ----------
    model : the network with the decoded weights, in evaluation mode
    artefact : the bitstream; ``ecqx.compression.artefact.bitstream.decode`` reads it
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
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    score: Callable[[Tensor, Tensor], float] | None = None,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    **options: Any,
) -> CompressedModel:
    """Compress a trained network with ECQx; the network itself stays as it is.

    Parameters
    ----------
    model : trained classifier: inputs (n, C, H, W) to logits (n, classes). Its layers need LRP
        rules (linear and convolutional layers, batch norm, rectifiers, pooling; residual sums as
        ``zennit.layer.Sum``, but for torchvision's ResNets, which are taken as they are), unless
        ``relevance`` is one that needs none.
    train, validation : inputs (n, C, H, W) float32 and labels: classes (n,) int64, or for several
        labels a sample (n, classes) bool. The epoch is chosen on validation. Keep test data out of
        both.
    epochs, learning_rate, batch_size : Adam with cosine annealing
    seed : of all randomness
    loss : (logits, labels) -> scalar; score : (logits, labels) -> float, higher is better. By
        default cross entropy and accuracy; with several labels binary cross entropy and mean
        average precision.
    augment : random variations of a batch, drawn from the generator alone
    **options : hyper-parameters of :class:`ecqx.compression.methods.ecqx.ECQx`: ``bits``, ``lam``,
        ``p``, ``relevance`` ...

    Raises
    ------
    ValueError : an option that is unknown or out of range, data of the wrong form or that do not
        fit the model, weights that are not float32, a buffer that the bitstream cannot carry, or a
        layer without an LRP rule; the message names it.
    RuntimeError : training diverged.

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
    >>> decoded = ecqx.compression.artefact.bitstream.decode(result.artefact)
    >>> torch.equal(decoded["1.weight"], result.model[1].weight)
    True
    """
    splits = [Split(*train), Split(*validation)]
    classes = _outputs(model, *splits)
    usual = (multilabel_loss, mean_average_precision)
    if not splits[0].multilabel:
        usual = (torch.nn.functional.cross_entropy, accuracy_score)
    task = Task(
        "own/model",
        *splits,
        classes,
        Budget(epochs, learning_rate, batch_size),
        augment=augment,
        loss=loss or usual[0],
        score=score or usual[1],
        order_seed=derive_seed("order", seed),
    )
    task = task.to(device_of(model, splits[0].x.device))
    outcome = compress_point(ECQx, options, model, task, ("compress", seed))
    if outcome.status == "skipped":
        raise ValueError(outcome.reason)
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


def _outputs(model: torch.nn.Module, train: Split, validation: Split) -> int:
    """Number of outputs of the model; ``ValueError`` unless model and data fit each other."""
    for name, parameter in model.named_parameters():
        if parameter.dtype != torch.float32:
            raise ValueError(f"model: {name} is {parameter.dtype}, expected torch.float32")
    if len(train) < 2 or len(validation) < 1:
        raise ValueError(
            f"train, validation: got {len(train)} and {len(validation)} samples, "
            "expected at least 2 and 1"
        )
    outputs = predict(model, train.x[:1]).shape[1]
    for name, split in (("train", train), ("validation", validation)):
        if split.multilabel != train.multilabel:
            raise ValueError(f"{name}: labels differ in kind from those of train")
        if split.multilabel and split.y.shape[1] != outputs:
            raise ValueError(f"{name}: {split.y.shape[1]} classes, the model has {outputs} outputs")
        if not split.multilabel and not 0 <= int(split.y.min()) <= int(split.y.max()) < outputs:
            raise ValueError(
                f"{name}: classes from {int(split.y.min())} to {int(split.y.max())}, "
                f"expected 0 to {outputs - 1}, the outputs of the model"
            )
    return outputs
