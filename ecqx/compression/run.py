"""One point of one method on one network, from hyper-parameters to a bitstream."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ecqx.compression.artefact import bitstream
from ecqx.compression.contract import (
    CodecQuantized,
    Diverged,
    Quantized,
    content,
    make_method,
    quantizable,
)
from ecqx.compression.peak_memory import PeakMemory
from ecqx.seeding import generator, global_seed
from ecqx.tasks.task import Task


@dataclass(frozen=True)
class Outcome:
    """What came of a point.

    Attributes
    ----------
    status : "ok", "diverged" (training or the network left the finite numbers), "failed" (the
        method raised, or what it returned is not a network) or "skipped" (the method does not
        apply, for the ``reason`` it gave)
    artefact : the bitstream; empty unless ok
    params : all hyper-parameters, defaults included
    history : one dict per epoch
    epoch : the epoch chosen on validation, None without training
    train_s : seconds that the method took: of processor time on the CPU, which other jobs beside
        it do not lengthen; of the clock on a GPU
    peak_memory_bytes : largest memory of the process meanwhile, resident or of the GPU, see
        :class:`ecqx.compression.peak_memory.PeakMemory`; None if unknown
    """

    status: str
    reason: str
    artefact: bytes
    params: dict[str, Any]
    history: list[dict[str, float]]
    epoch: int | None
    train_s: float
    peak_memory_bytes: int | None


def compress_point(
    method_class: type,
    params: Mapping[str, Any],
    model: torch.nn.Module,
    task: Task,
    seed_parts: tuple[str | int, ...],
) -> Outcome:
    """Compress a copy of the model and encode it.

    Parameters
    ----------
    method_class : class ``Method`` of a baseline file
    params : hyper-parameters of the point, by name
    model : full-precision network; it stays as it is
    seed_parts : what all randomness of the run derives from, see :mod:`ecqx.seeding`

    Raises
    ------
    ValueError : hyper-parameters the method refuses, or a network with a buffer that the bitstream
        cannot carry (integers of two or more dimensions, floats of 5000 or more).
    TypeError : the method returned something else than its contract says.
    """
    outcome, error = _try(method_class, params, model, task, seed_parts)
    if error is not None:
        raise error
    return outcome


def attempt_point(
    method_class: type,
    params: Mapping[str, Any],
    model: torch.nn.Module,
    task: Task,
    seed_parts: tuple[str | int, ...],
) -> Outcome:
    """As :func:`compress_point`, with an outcome whatever the method raises or returns.

    The traceback of a failure is printed to standard error.
    """
    outcome, error = _try(method_class, params, model, task, seed_parts)
    if error is not None:
        traceback.print_exception(error)
    return outcome


def lost_point(method_class: type, params: Mapping[str, Any], reason: str) -> Outcome:
    """The outcome of a point whose process ended before the method did."""
    return _failed(_effective(method_class, params), reason)


def _try(
    method_class: type,
    params: Mapping[str, Any],
    model: torch.nn.Module,
    task: Task,
    seed_parts: tuple[str | int, ...],
) -> tuple[Outcome, Exception | None]:
    """The outcome, and the error behind a failure."""
    spent: tuple[float, int | None] = (math.nan, None)
    history: list[dict[str, float]] = []
    effective = _effective(method_class, params)
    try:
        method = make_method(method_class, params)
        reason = method.skip(model, task) if hasattr(method, "skip") else None
        if reason is not None:
            return Outcome("skipped", reason, b"", effective, [], None, *spent), None
        # What no method alters has to fit into the bitstream: better known before than after
        # training.
        own = quantizable(model)
        bitstream.encode({k: v for k, v in model.state_dict().items() if k not in own})
        rng = generator(*seed_parts)
        memory = PeakMemory(task.device)
        clock = time.process_time if task.device.type == "cpu" else time.perf_counter
        start = clock()
        try:
            # Methods draw from rng; seeding the global generators as well keeps a method that
            # forgets from depending on which points ran before it in the same process.
            with global_seed(generator("global", *seed_parts)):
                compressed = method.compress(copy.deepcopy(model), task, rng)
        finally:
            spent = (clock() - start, memory.bytes())
        history = getattr(compressed, "history", [])
        check_complete(compressed, model)
        for name, entry in compressed.tensors.items():
            if not _finite(entry):
                reason = f"{name} is not finite"
                return Outcome("diverged", reason, b"", effective, history, None, *spent), None
        artefact = bitstream.encode(compressed.tensors)
    except Diverged as error:
        reason = _one_line(error)
        return Outcome("diverged", reason, b"", effective, error.history, None, *spent), None
    except Exception as error:
        reason = f"{type(error).__name__}: {_one_line(error)}"
        return _failed(effective, reason, history, spent), error
    return Outcome("ok", "", artefact, effective, history, compressed.epoch, *spent), None


def _effective(method_class: type, params: Mapping[str, Any]) -> dict[str, Any]:
    """All hyper-parameters, defaults included; those given, of a method that refuses them."""
    try:
        return dataclasses.asdict(make_method(method_class, params))
    except Exception:
        return dict(params)


def _failed(
    effective: dict[str, Any],
    reason: str,
    history: Sequence[dict[str, float]] = (),
    spent: tuple[float, int | None] = (math.nan, None),
) -> Outcome:
    return Outcome("failed", reason, b"", effective, list(history), None, *spent)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _finite(entry: torch.Tensor | Quantized | CodecQuantized) -> bool:
    """Whether a tensor, and its step if it has one, are finite."""
    step = entry.step if isinstance(entry, Quantized) else 1.0
    return math.isfinite(step) and bool(content(entry).isfinite().all())


def check_complete(compressed: Any, model: torch.nn.Module) -> None:
    """``TypeError`` unless the compressed network has every tensor of the model, in its shape."""
    tensors = getattr(compressed, "tensors", None)
    if not isinstance(tensors, dict):
        raise TypeError(f"compress returned {type(compressed).__name__}, expected Compressed")
    own = model.state_dict()
    if set(tensors) != set(own):
        differing = ", ".join(sorted(set(tensors) ^ set(own)))
        raise TypeError(f"Compressed.tensors and the model's state dict differ in: {differing}")
    for name, entry in tensors.items():
        tensor = content(entry)
        if tensor.shape != own[name].shape:
            raise TypeError(
                f"Compressed.tensors[{name!r}] has shape {tuple(tensor.shape)}, "
                f"the model {tuple(own[name].shape)}"
            )
