"""Compression of a network of one's own, in one call, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ecqx.compression import methods
from ecqx.compression.architecture import network_of
from ecqx.compression.artefact import bitstream, size
from ecqx.compression.contract import Method, quantizable
from ecqx.compression.loading import load_method
from ecqx.compression.run import compress_point
from ecqx.seeding import derive_seed
from ecqx.tasks.data import Split
from ecqx.tasks.plain import plain
from ecqx.tasks.scores import accuracy_score, mean_average_precision, multilabel_loss
from ecqx.tasks.task import Budget, Task, device_of
from ecqx.tasks.trial import tried_logits

Samples = Split | tuple | Dataset | DataLoader


@dataclass(frozen=True, repr=False)
class CompressedModel:
    """A network and the bitstream it was decoded from.

    Attributes
    ----------
    model : the network with the decoded weights, in evaluation mode
    artefact : the bitstream, which :func:`decode` and :func:`load` read
    method : what compressed it
    params : its hyper-parameters, defaults included
    compression_ratio : 4 bytes for every parameter and buffer, over the bitstream's bytes
    sparsity : share of zeros among the quantized weights
    history : a dict per epoch of training; empty without training
    epoch : the epoch chosen on validation, from 1; None without training
    """

    model: torch.nn.Module
    artefact: bytes
    method: str
    params: dict[str, Any]
    compression_ratio: float
    sparsity: float
    history: list[dict[str, float]]
    epoch: int | None

    def save(self, path: str | Path) -> None:
        """Write the bitstream to a file."""
        Path(path).write_bytes(self.artefact)

    def __repr__(self) -> str:
        epoch = "" if self.epoch is None else f", epoch {self.epoch} of {len(self.history)}"
        return (
            f"CompressedModel({self.method}, {len(self.artefact):,} bytes, "
            f"{self.compression_ratio:.1f} times smaller, {self.sparsity:.0%} zeros{epoch})"
        )


def compress(
    model: torch.nn.Module,
    train: Samples,
    validation: Samples,
    *,
    method: str | Path | type[Method] = "ecqx",
    epochs: int = 20,
    learning_rate: float = 1e-4,
    batch_size: int = 64,
    seed: int = 0,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    score: Callable[[Tensor, Tensor], float] | None = None,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    build: Callable[..., torch.nn.Module] | None = None,
    **options: Any,
) -> CompressedModel:
    """Compress a trained network; the network itself stays as it is.

    Parameters
    ----------
    model : trained classifier: inputs (n, ...) to logits (n, classes). For ``ecqx`` all that it
        computes needs LRP rules (linear and convolutional layers, batch and layer norm, activation
        functions, pooling, sums, products, attention; as modules or in ``forward``), unless
        ``relevance`` is one that needs none.
    train, validation : inputs of floating point, shape (n, ...), and labels: classes (n,) of
        integers, or for several labels a sample (n, classes) of truth values; as a pair of tensors
        or NumPy arrays, or as a Dataset or DataLoader of such pairs, which is gone through once.
        The epoch is chosen on validation. Keep test data out of both.
    method : name of a method (:data:`ecqx.compression.methods.NAMES`), path of a file with a class
        ``Method``, or such a class
    epochs, learning_rate, batch_size : Adam with cosine annealing; without meaning for methods that
        do not train
    seed : of all randomness
    loss : (logits, labels) -> scalar; score : (logits, labels) -> float, higher is better. By
        default cross entropy and accuracy; with several labels binary cross entropy and mean
        average precision.
    augment : random variations of a batch, drawn from the generator alone
    build : (input_shape, n_classes, **architecture) -> network, untrained, for methods that make a
        network of another architecture: ``distil`` calls it with a ``width``, by which it is to
        multiply numbers of channels and units
    **options : hyper-parameters of the method, of ECQx for example ``levels``, ``lam``, ``p``,
        ``relevance``, see :class:`ecqx.compression.methods.ecqx.ECQx`; ``bits=b`` stands for 2^b
        levels

    Raises
    ------
    ValueError : an unknown method, an option that is unknown or out of range, data of the wrong
        form or that do not fit the model, weights that are not float32, state that a bitstream
        cannot carry, or a layer without an LRP rule; the message names it.
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
    ...     network, (x[:64], y[:64]), (x[64:], y[64:]), method="ecq", bits=4, lam=0.3, epochs=2
    ... )
    >>> result.compression_ratio > 4
    True
    >>> decoded = ecqx.decode(result.artefact)
    >>> torch.equal(decoded["1.weight"], result.model[1].weight)
    True
    >>> again = ecqx.load(result.artefact, network)
    >>> torch.equal(again(x), result.model(x))
    True
    """
    name, method_class = _method(method)
    splits = [_split("train", train), _split("validation", validation)]
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
        build=build,
    )
    task = task.to(device_of(model, splits[0].x.device))
    outcome = compress_point(method_class, options, model, task, ("compress", seed))
    if outcome.status == "skipped":
        raise ValueError(outcome.reason)
    if outcome.status != "ok":
        raise RuntimeError(f"compression {outcome.status}: {outcome.reason}")
    network = network_of(architecture(outcome.artefact), model, task)
    decoded = load(outcome.artefact, network)
    return CompressedModel(
        model=decoded,
        artefact=outcome.artefact,
        method=name,
        params=outcome.params,
        compression_ratio=size.full_precision_bytes(plain(model)) / len(outcome.artefact),
        sparsity=size.sparsity(quantizable(decoded)),
        history=outcome.history,
        epoch=outcome.epoch,
    )


def decode(artefact: bytes | str | Path) -> dict[str, Tensor]:
    """State dict of a compressed network, without the network at hand.

    Parameters
    ----------
    artefact : a bitstream, or the path of a file that holds one

    Raises
    ------
    ValueError : it is damaged or none of this kind; a path is named.
    OSError : the file cannot be read.
    """
    content, where = read(artefact)
    try:
        return bitstream.decode(content)
    except ValueError as error:
        raise ValueError(f"{where}{error}") from error


def architecture(artefact: bytes | str | Path) -> dict[str, Any]:
    """What the function that builds the network of an artefact takes, such as ``width``.

    Empty where it is the network that was compressed.

    Parameters
    ----------
    artefact : as for :func:`decode`

    Raises
    ------
    ValueError, OSError : as :func:`decode`
    """
    content, where = read(artefact)
    try:
        return bitstream.architecture(content)
    except ValueError as error:
        raise ValueError(f"{where}{error}") from error


def load(artefact: bytes | str | Path, network: torch.nn.Module) -> torch.nn.Module:
    """A copy of a network with the weights of an artefact, in evaluation mode.

    Parameters
    ----------
    artefact : as for :func:`decode`
    network : of the architecture that was compressed, or that :func:`architecture` names; its own
        weights do not matter

    Raises
    ------
    ValueError : as :func:`decode`, or the network is another.
    OSError : the file cannot be read.
    """
    return bitstream.load(plain(network), decode(artefact))


def read(artefact: bytes | str | Path) -> tuple[bytes, str]:
    """The bytes of an artefact, and for messages where they are from."""
    if isinstance(artefact, bytes | bytearray):
        return bytes(artefact), ""
    return Path(artefact).read_bytes(), f"{artefact}: "


def _method(method: str | Path | type[Method]) -> tuple[str, type[Method]]:
    if isinstance(method, type):
        return method.__name__, method
    if isinstance(method, Path) or str(method).endswith(".py"):
        return Path(method).stem, load_method(Path(method))
    return method, methods.get(method)


def _split(name: str, data: Samples) -> Split:
    """The samples of ``train`` or ``validation`` as tensors."""
    if isinstance(data, Split):
        return data
    if isinstance(data, DataLoader):
        batches = list(data)
        join = torch.cat
    elif isinstance(data, Dataset) and hasattr(data, "__len__"):
        batches = [data[i] for i in range(len(data))]
        join = torch.stack
    else:
        batches, join = [data], None
    if not batches or not all(isinstance(b, tuple | list) and len(b) == 2 for b in batches):
        raise ValueError(
            f"{name}: got {type(data).__name__}, expected a pair of inputs and labels (tensors or "
            "NumPy arrays), or a Dataset or DataLoader of such pairs"
        )
    parts = []
    for part, of in zip(zip(*batches, strict=True), ("inputs", "labels"), strict=True):
        known = (Tensor, np.ndarray) if join is None else (Tensor, np.ndarray, np.number, int)
        for one in part:
            if not isinstance(one, known):
                raise ValueError(
                    f"{name}: {of} are {type(one).__name__}, expected a tensor or NumPy array"
                )
        tensors = [torch.as_tensor(one) for one in part]
        parts.append(tensors[0] if join is None else join(tensors))
    x, y = parts
    if not x.is_floating_point():
        raise ValueError(f"{name}: inputs are {x.dtype}, expected floating point")
    if not (y.dtype == torch.bool or y.is_floating_point() or y.is_complex()):
        y = y.to(torch.int64)
    try:
        return Split(x.to(torch.float32), y)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


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
    try:
        logits = tried_logits(model, train.x[:2])
    except ValueError as error:
        raise ValueError(f"model: {error}") from error
    outputs = logits.shape[1]
    for name, split in (("train", train), ("validation", validation)):
        if split.multilabel != train.multilabel:
            raise ValueError(f"{name}: labels differ in kind from those of train")
        if split.x.shape[1:] != train.x.shape[1:]:
            raise ValueError(
                f"{name}: inputs have shape {tuple(split.x.shape[1:])}, "
                f"those of train {tuple(train.x.shape[1:])}"
            )
        if split.multilabel and split.y.shape[1] != outputs:
            raise ValueError(f"{name}: {split.y.shape[1]} classes, the model has {outputs} outputs")
        if not split.multilabel and not 0 <= int(split.y.min()) <= int(split.y.max()) < outputs:
            raise ValueError(
                f"{name}: classes from {int(split.y.min())} to {int(split.y.max())}, "
                f"expected 0 to {outputs - 1}, the outputs of the model"
            )
    return outputs
