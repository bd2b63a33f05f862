"""What a training loop and a compression method may see of a data set: never its test split."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ecqx.seeding import generator
from ecqx.tasks import datasets
from ecqx.tasks.data import Dataset, Split
from ecqx.tasks.scores import accuracy_score, mean_average_precision, multilabel_loss

# a training batch of one sample has no batch statistics
_SMALLEST_BATCH = 2
# Prediction takes as many samples at once as this allows: the feature maps of a VGG16 at full
# resolution, 64 channels, then take 256 MiB.
_POSITIONS = 1 << 20
_MOST_SAMPLES = 512
# Data up to this size are kept on the device that trains; several runs may share it.
_RESIDENT_BYTES = 1 << 30

Loss = Callable[[Tensor, Tensor], Tensor]
Score = Callable[[Tensor, Tensor], float]


def objective(dataset: Dataset) -> tuple[Loss, Score]:
    """What is minimised and what is maximised on a data set.

    ``loss`` and ``score`` of the data set's module where it defines them; else cross entropy and
    accuracy, for multi-label data binary cross entropy and mean average precision.

    Raises
    ------
    ValueError : no data set of that name is registered.
    """
    module = datasets.get(dataset.name)
    loss, score = functional.cross_entropy, accuracy_score
    if dataset.multilabel:
        loss, score = multilabel_loss, mean_average_precision
    return getattr(module, "loss", loss), getattr(module, "score", score)


@dataclass(frozen=True)
class Budget:
    """How long to train: Adam, learning rate annealed to zero by a cosine, step by step.

    Parameters
    ----------
    epochs : int, at least 1
    learning_rate : float, above 0; learning rate of the first step.
    batch_size : int, at least 2; samples per step.
    """

    epochs: int
    learning_rate: float
    batch_size: int

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs is {self.epochs}, expected at least 1")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is {self.learning_rate}, expected above 0")
        if self.batch_size < _SMALLEST_BATCH:
            raise ValueError(
                f"batch_size is {self.batch_size}, expected at least {_SMALLEST_BATCH}"
            )


@dataclass(frozen=True)
class Task:
    """Training and validation data, the objective, and the budget for reaching it.

    Parameters
    ----------
    name : str, "<dataset>/<model>".
    train, validation : Split, every choice (epoch, checkpoint, hyper-parameter) is made on
        ``validation``.
    n_classes : int
    budget : Budget
    augment : callable (x, rng) -> x, optional; random variations of a batch of training inputs,
        computed on the device of ``x`` from numbers that are drawn on the CPU.
    loss : callable (logits, y) -> scalar Tensor; to be minimised; mean over the batch.
    score : callable (logits, y) -> float; to be maximised; in [0, 1].
    device : torch.device, where the model is trained; :meth:`batches` yields tensors there.
    order_seed : int, of the order of the data, their augmentation, and what layers such as dropout
        draw: the same for all methods that are compared, so that they train on the same minibatches
    build : callable (input_shape, n_classes, **architecture) -> nn.Module, optional; an untrained
        network of the model, see :mod:`ecqx.tasks.models`. What else it takes, such as ``width``,
        is its architecture.
    """

    name: str
    train: Split
    validation: Split
    n_classes: int
    budget: Budget
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None
    loss: Loss = functional.cross_entropy
    score: Score = accuracy_score
    device: torch.device = torch.device("cpu")
    order_seed: int = 0
    build: Callable[..., nn.Module] | None = None

    @classmethod
    def from_dataset(
        cls,
        dataset: Dataset,
        model_name: str,
        budget: Budget,
        order_seed: int,
        build: Callable[..., nn.Module] | None = None,
    ) -> Task:
        """The task of training ``model_name`` on ``dataset``.

        Augmentation is that of the data set's module, if it defines one; loss and score are those
        of :func:`objective`.

        Raises
        ------
        ValueError : no data set of that name is registered.
        """
        loss, score = objective(dataset)
        return cls(
            name=f"{dataset.name}/{model_name}",
            train=dataset.train,
            validation=dataset.validation,
            n_classes=len(dataset.classes),
            budget=budget,
            augment=getattr(datasets.get(dataset.name), "augment", None),
            loss=loss,
            score=score,
            order_seed=order_seed,
            build=build,
        )

    def to(self, device: torch.device | str) -> Task:
        """The same task for a model on another device.

        Order and augmentation of the batches stay the same: they are drawn on the CPU. Training
        and validation data of together up to 1 GiB move to the device and stay there; larger ones
        stay where they are, and :meth:`batches` and :func:`predict` bring them over part by part.
        """
        device = torch.device(device)
        splits = {"train": self.train, "validation": self.validation}
        if sum(split.nbytes for split in splits.values()) <= _RESIDENT_BYTES:
            splits = {name: split.to(device) for name, split in splits.items()}
        return dataclasses.replace(self, **splits, device=device)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one input."""
        return tuple(self.train.x.shape[1:])

    @property
    def steps_per_epoch(self) -> int:
        """Number of minibatches that :meth:`batches` yields."""
        whole, rest = divmod(len(self.train), self.budget.batch_size)
        return whole + (rest >= _SMALLEST_BATCH)

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Augmented minibatches (x, y) of an epoch, from 1, in random order.

        The last batch may be short; a single left-over sample is dropped. An epoch of the task is
        the same whoever asks for it, and whatever was drawn before. The tensors are on the task's
        device.
        """
        rng = generator("batches", self.order_seed, epoch)
        order = torch.randperm(len(self.train), generator=rng).to(self.train.x.device)
        for index in order.split(self.budget.batch_size)[: self.steps_per_epoch]:
            x, y = self.train.x[index], self.train.y[index]
            if self.augment is not None:
                x = self.augment(x, rng)
            yield _on(x, self.device), _on(y, self.device)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards every module's own mode as it was, whatever happens."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def out_of_place(model: nn.Module) -> Iterator[None]:
    """No layer overwrites its input inside (``nn.ReLU(inplace=True)``); afterwards as it was.

    Hooks that keep a layer's output, or put another backward pass behind it, need it unchanged.
    """
    changed = [module for module in model.modules() if getattr(module, "inplace", False)]
    try:
        for module in changed:
            module.inplace = False
        yield
    finally:
        for module in changed:
            module.inplace = True


def predict(model: nn.Module, x: Tensor, batch_size: int | None = None) -> Tensor:
    """Logits in evaluation mode, without gradients.

    Parameters
    ----------
    model : nn.Module, every submodule's training mode comes back as it was.
    x : Tensor, shape (n, C, H, W); taken to the model's device batch by batch.
    batch_size : int, optional; samples per forward pass; bounds the memory, does not change the
        result. By default what :func:`samples_at_once` says.

    Returns
    -------
    Tensor, shape (n, n_classes), on the device of ``x``.
    """
    device = device_of(model, x.device)
    batches = x.split(batch_size or samples_at_once(x.shape[1:]))
    with evaluating(model), torch.no_grad():
        return torch.cat([model(_on(batch, device)) for batch in batches]).to(x.device)


def samples_at_once(input_shape: Sequence[int]) -> int:
    """How many inputs of shape (C, H, W) a network may take at once without using much memory.

    512, fewer of inputs larger than 45x45; 20 of those of 224x224.
    """
    return max(1, min(_MOST_SAMPLES, _POSITIONS // math.prod(input_shape[1:])))


def device_of(model: nn.Module, default: torch.device) -> torch.device:
    """Where the model's parameters are; ``default`` if it has none."""
    return next((parameter.device for parameter in model.parameters()), default)


def _on(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device; the CPU does not wait for its transfer to a GPU."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
