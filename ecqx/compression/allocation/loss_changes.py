"""By how much the loss of a network rises with one of its weights replaced, for each candidate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ecqx.compression.allocation.candidates import Candidates
from ecqx.compression.contract import quantizable
from ecqx.tasks.task import Loss, device_of, evaluating, samples_at_once

_MOST_SAMPLES = 32  # at once: outputs of all layers are kept


def loss_changes(
    model: nn.Module, candidates: Candidates, x: Tensor, y: Tensor, loss: Loss
) -> np.ndarray:
    """Loss with a candidate in place of its weight, minus the loss of the network as it is.

    What is computed before a weight is first used is computed once for all its candidates.

    Parameters
    ----------
    model : nn.Module, comes back as it was; runs in evaluation mode
    candidates : of the network's weights
    x : float32 Tensor, shape (n, ...), n at least 1; y : Tensor, their labels
    loss : (logits, y) -> scalar, mean over the batch

    Returns
    -------
    float64 array, shape (weights, candidates)
    """
    device, size = device_of(model, x.device), min(_MOST_SAMPLES, samples_at_once(x.shape[1:]))
    weights = quantizable(model)
    changes = np.zeros(candidates.sizes.shape)
    with evaluating(model), torch.no_grad():
        for part, of in zip(x.split(size), y.split(size), strict=True):
            part, of, share = part.to(device), of.to(device), len(part) / len(x)
            memory = _Memory(weights.values())
            with memory:
                before = float(loss(model(part), of))
            for row, (name, weight) in enumerate(weights.items()):
                for column, codes in enumerate(candidates.codes[name]):
                    value = codes * candidates.grids[name][column].step
                    with _replaced(weight, value), memory.until(weight):
                        changes[row, column] += share * (float(loss(model(part), of)) - before)
    return changes


class _Memory(TorchFunctionMode):
    """Keeps what is computed with any of the weights, and hands it out when it is asked for again.

    A forward pass that takes the same inputs makes the same calls, up to the first with a weight
    that is another.
    """

    def __init__(self, weights: Iterable[Tensor]) -> None:
        super().__init__()
        self._known = {id(weight) for weight in weights}
        self._results: list[Tensor | None] = []
        self._first: dict[int, int] = {}  # weight -> its first call
        self._call, self._recalled = 0, -1  # -1: everything is new and kept

    @contextmanager
    def until(self, weight: Tensor) -> Iterator[None]:
        """A forward pass in which all is as it was until the weight is first used."""
        # one that was not used, as far as can be seen, leaves nothing to recall
        self._call, self._recalled = 0, self._first.get(id(weight), 0)
        with self:
            yield

    def __torch_function__(self, function: Callable, types, args=(), kwargs=None) -> Any:
        kwargs = kwargs or {}
        given = {id(value) for value in _flat((args, kwargs))}
        used = self._known & given
        if not used:
            return function(*args, **kwargs)
        call, self._call = self._call, self._call + 1
        if call < self._recalled and self._results[call] is not None:
            return self._results[call].clone()  # what comes next may overwrite it
        result = function(*args, **kwargs)
        if self._recalled < 0:
            for each in used:
                self._first.setdefault(each, call)
            # what is written into an argument has to be written again
            new = isinstance(result, Tensor) and id(result) not in given
            self._results.append(result.clone() if new else None)
        return result


def _flat(values: Any) -> Iterator[Any]:
    if isinstance(values, dict):
        values = values.values()
    elif not isinstance(values, list | tuple):
        yield values
        return
    for value in values:
        yield from _flat(value)


@contextmanager
def _replaced(weight: nn.Parameter, value: Tensor) -> Iterator[None]:
    own = weight.data
    try:
        weight.data = value
        yield
    finally:
        weight.data = own
