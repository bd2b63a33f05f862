"""A network whose weights share a budget of bytes, which the coder measures on the whole of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ecqx.compression.allocation.candidates import Candidates, make_candidates
from ecqx.compression.allocation.choice import choose
from ecqx.compression.allocation.sensitivity import costs
from ecqx.compression.artefact import bitstream
from ecqx.compression.contract import Compressed
from ecqx.compression.training import snapshot
from ecqx.tasks.task import Task

T = TypeVar("T")

# What was made last, and of what: points of one network and seed share it.
_latest: dict[str, tuple[tuple, tuple, object]] = {}


def shared_candidates(
    model: torch.nn.Module, moments: Mapping[str, Tensor], lam: float
) -> Candidates:
    """The candidates of a network, as :func:`make_candidates` makes them.

    Made anew unless the moments are the object that they were last time: these are only where the
    network is the same.
    """
    return _shared("candidates", (moments,), (lam,), lambda: make_candidates(model, moments, lam))


def shared_costs(
    sensitivity: str,
    model: torch.nn.Module,
    candidates: Candidates,
    samples: int,
    task: Task,
    rng: torch.Generator,
) -> np.ndarray:
    """What the candidates cost, see :func:`ecqx.compression.allocation.sensitivity.costs`.

    Parameters
    ----------
    samples : how many training inputs say so; all if there are fewer
    rng : which of them, and what the permutation is drawn from
    """

    def measured() -> np.ndarray:
        chosen = torch.randperm(len(task.train), generator=rng)[:samples]
        place = chosen.to(task.train.x.device)
        x, y = task.train.x[place], task.train.y[place]
        return costs(sensitivity, model, candidates, x, y, task, rng)

    state = rng.get_state().numpy().tobytes()
    objects = (candidates, task.train.x, task.train.y, task.loss)
    return _shared("costs", objects, (sensitivity, samples, state), measured)


def allocate(
    model: torch.nn.Module, candidates: Candidates, costs: np.ndarray, budget: int
) -> Compressed | None:
    """The network with the candidates of least cost whose bitstream keeps the budget.

    Parameters
    ----------
    costs : float array, shape (weights, candidates)
    budget : bytes of the whole bitstream

    Returns
    -------
    Compressed, or None if even the smallest candidates exceed the budget
    """
    rows = np.arange(len(costs))
    smallest = candidates.sizes.argmin(axis=1)
    least = bitstream_size(model, candidates, smallest)
    if least > budget:
        return None
    # The rest of a bitstream depends on the choice a little: a channel of zeros needs no scale.
    limit = budget - (least - int(candidates.sizes[rows, smallest].sum()))
    while (choice := choose(costs, candidates.sizes, limit)) is not None:
        size = bitstream_size(model, candidates, choice)
        if size <= budget:
            return chosen(model, candidates, choice)
        limit = int(candidates.sizes[rows, choice].sum()) - (size - budget)
    return chosen(model, candidates, smallest)


def chosen(model: torch.nn.Module, candidates: Candidates, choice: np.ndarray) -> Compressed:
    """The network with one candidate for each weight, in their order."""
    pairs = dict(zip(candidates.codes, choice.tolist(), strict=True))
    codes = {name: candidates.codes[name][place].to(torch.int32) for name, place in pairs.items()}
    grids = {name: candidates.grids[name][place] for name, place in pairs.items()}
    return Compressed(snapshot(model, codes, grids))


def bitstream_size(model: torch.nn.Module, candidates: Candidates, choice: np.ndarray) -> int:
    """Bytes of the bitstream with one candidate for each weight."""
    return len(bitstream.encode(chosen(model, candidates, choice).tensors, model))


def _shared(what: str, objects: tuple, values: tuple, make: Callable[[], T]) -> T:
    """What was made last, if of the same objects and of equal values."""
    if what in _latest:
        known_objects, known_values, made = _latest[what]
        same = all(known is own for known, own in zip(known_objects, objects, strict=True))
        if same and known_values == values:
            return made
    made = make()
    _latest[what] = (objects, values, made)
    return made
