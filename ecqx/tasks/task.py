"""What a training loop and a compression method may see of a data set: never its test split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ecqx.tasks import datasets
from ecqx.tasks.data import Dataset, Split

# a training batch of one sample has no batch statistics
_SMALLEST_BATCH = 2


def accuracy_score(logits: Tensor, y: Tensor) -> float:
    """Share of samples in [0, 1] whose largest logit is that of the label.

    Parameters
    ----------
    logits : Tensor, shape (n, n_classes)
    y : int64 Tensor, shape (n,)
    """
    return (logits.argmax(dim=1) == y).double().mean().item()


@dataclass(frozen=True)
class Budget:
    """How long to train: Adam, learning rate annealed to zero by a cosine, step by step.

    Parameters
    ----------
    epochs : int, at least 1
    learning_rate : float, above 0
        Learning rate of the first step.
    batch_size : int, at least 2
        Samples per step.
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
    name : str
        "<dataset>/<model>".
    train, validation : Split
        Every choice (epoch, checkpoint, hyper-parameter) is made on ``validation``.
    n_classes : int
    budget : Budget
    augment : callable (x, rng) -> x, optional
        Random variations of a batch of training inputs.
    loss : callable (logits, y) -> scalar Tensor
        To be minimised; mean over the batch.
    score : callable (logits, y) -> float
        To be maximised; in [0, 1].
    """

    name: str
    train: Split
    validation: Split
    n_classes: int
    budget: Budget
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None
    loss: Callable[[Tensor, Tensor], Tensor] = functional.cross_entropy
    score: Callable[[Tensor, Tensor], float] = accuracy_score

    @classmethod
    def from_dataset(cls, dataset: Dataset, model_name: str, budget: Budget) -> Task:
        """The task of training ``model_name`` on ``dataset``.

        Augmentation, loss and score are those of the data set's module, where it defines them.

        Raises
        ------
        ValueError: no data set of that name is registered.
        """
        module = datasets.get(dataset.name)
        own = {
            part: getattr(module, part)
            for part in ("augment", "loss", "score")
            if hasattr(module, part)
        }
        return cls(
            name=f"{dataset.name}/{model_name}",
            train=dataset.train,
            validation=dataset.validation,
            n_classes=len(dataset.classes),
            budget=budget,
            **own,
        )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one input."""
        return tuple(self.train.x.shape[1:])

    @property
    def steps_per_epoch(self) -> int:
        """Number of minibatches that :meth:`batches` yields."""
        whole, rest = divmod(len(self.train), self.budget.batch_size)
        return whole + (rest >= _SMALLEST_BATCH)

    def batches(self, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch of augmented minibatches (x, y) in random order.

        The last batch may be short; a single left-over sample is dropped. All randomness comes
        from ``rng``.
        """
        order = torch.randperm(len(self.train), generator=rng)
        for index in order.split(self.budget.batch_size)[: self.steps_per_epoch]:
            x, y = self.train.x[index], self.train.y[index]
            if self.augment is not None:
                x = self.augment(x, rng)
            yield x, y


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


def predict(model: nn.Module, x: Tensor, batch_size: int = 512) -> Tensor:
    """Logits in evaluation mode, without gradients.

    Parameters
    ----------
    model : nn.Module
        Every submodule's training mode comes back as it was.
    x : Tensor, shape (n, C, H, W)
        On the model's device.
    batch_size : int
        Samples per forward pass; bounds the memory, does not change the result.

    Returns
    -------
    Tensor, shape (n, n_classes)
    """
    with evaluating(model), torch.no_grad():
        return torch.cat([model(batch) for batch in x.split(batch_size)])


def accuracy(model: nn.Module, split: Split) -> float:
    """Share of the split's samples in [0, 1] that the model classifies correctly."""
    return accuracy_score(predict(model, split.x), split.y)
