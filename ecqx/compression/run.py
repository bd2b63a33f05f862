"""One point of one method on one network, from hyper-parameters to a bitstream."""

from __future__ import annotations

import copy
import dataclasses
import math
import numbers
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ecqx.compression import budgeting
from ecqx.compression.architecture import network_of
from ecqx.compression.artefact import bitstream
from ecqx.compression.contract import (
    CodecQuantized,
    Compressed,
    Diverged,
    Method,
    Quantized,
    content,
    make_method,
    quantizable,
)
from ecqx.compression.distillation import Distillation, Teacher, check_distillable
from ecqx.compression.peak_memory import PeakMemory
from ecqx.compression.refinement import refine_scales
from ecqx.seeding import generator, global_seed
from ecqx.tasks.layout import lay_out
from ecqx.tasks.plain import plain
from ecqx.tasks.task import Task, predict

# How far the logits of a decoded network may be from those of the compressed one, in parts of
# their spread, both as root mean squares.
LARGEST_ERROR = 0.1


@dataclass(frozen=True)
class Outcome:
    """What came of a point.

    Attributes
    ----------
    status : "ok"; "diverged": training or the network led to numbers that are not finite; "failed":
        the method raised, or broke its contract, or its process died; "skipped": the method does
        not apply
    reason : one line, empty if ok
    artefact : the bitstream; empty unless ok
    params : all hyper-parameters, defaults included; of a failed point as given, where the method
        refused them
    history : one dict per epoch, up to where the point diverged or failed
    epoch : the epoch chosen on validation, None without training
    train_s : seconds that the method took: of processor time on the CPU, which other jobs beside
        it do not lengthen; of the clock on a GPU; NaN where it did not get that far
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
    method_class: type[Method],
    params: Mapping[str, Any],
    model: torch.nn.Module,
    task: Task,
    seed_parts: tuple[str | int, ...],
) -> Outcome:
    """Compress a copy of the model and encode it.

    Parameters
    ----------
    method_class : class ``Method`` of a baseline file
    params : hyper-parameters of the point, by name, and what else it asks for, see
        :mod:`ecqx.compression.budgeting`
    model : full-precision network; it stays as it is. Its weights are taken as plain parameters,
        see :mod:`ecqx.tasks.plain`
    seed_parts : what the method's own draws derive from, see :mod:`ecqx.seeding`; order and
        augmentation of the data, and what layers draw, derive from ``task.order_seed``

    Returns
    -------
    Outcome : of status "ok", "diverged" or "skipped"

    Raises
    ------
    ValueError : hyper-parameters the method refuses, or a network or result with a value that the
        bitstream cannot carry (see :func:`ecqx.compression.artefact.bitstream.encode`)
    TypeError : the method returned something other than its contract says
    """
    return _compress(method_class, params, model, task, seed_parts, _Progress(dict(params)))


def attempt_point(
    method_class: type[Method],
    params: Mapping[str, Any],
    model: torch.nn.Module,
    task: Task,
    seed_parts: tuple[str | int, ...],
) -> Outcome:
    """As :func:`compress_point`, but whatever it would raise becomes an outcome.

    The status is then "failed" and the reason names the exception, whose traceback goes to standard
    error. Only what ends the process passes through (``KeyboardInterrupt``, ``SystemExit``).
    """
    progress = _Progress(dict(params))
    try:
        return _compress(method_class, params, model, task, seed_parts, progress)
    except Exception as error:  # a method may raise anything
        traceback.print_exception(error, file=sys.stderr)
        reason = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
        return Outcome(
            "failed", reason, b"", progress.params, progress.history, None, *progress.spent
        )


def lost_point(method_class: type[Method], params: Mapping[str, Any], reason: str) -> Outcome:
    """The failed outcome of a point whose process died, of which nothing but ``reason`` is left."""
    own, overrides = budgeting.split(params)
    try:
        effective = dataclasses.asdict(make_method(method_class, own)) | overrides
    except Exception:  # a method may raise anything
        effective = dict(params)
    return Outcome("failed", reason, b"", effective, [], None, math.nan, None)


@dataclass
class _Progress:
    """What is known of a point by the time it fails."""

    params: dict[str, Any]
    history: list[dict[str, float]] = field(default_factory=list)
    spent: tuple[float, int | None] = (math.nan, None)  # seconds, bytes


def _compress(
    method_class: type[Method],
    params: Mapping[str, Any],
    model: torch.nn.Module,
    task: Task,
    seed_parts: tuple[str | int, ...],
    progress: _Progress,
) -> Outcome:
    own, overrides = budgeting.split(params)
    task, refining = budgeting.spending(task, overrides)
    method = make_method(method_class, own)
    model = lay_out(plain(model))
    progress.params = dataclasses.asdict(method) | overrides
    reason = method.skip(copy.deepcopy(model), task) if hasattr(method, "skip") else None
    check_reason(reason)
    if reason is not None:
        return Outcome("skipped", reason, b"", progress.params, [], None, *progress.spent)
    # What no method alters has to fit into the bitstream: better known before than after training.
    _encode_unquantized(model)
    penalties = []
    if overrides.get("distil"):
        check_distillable(method)
        penalties = [Distillation(Teacher(model), task.train.multilabel)]
    compressed, diverged = None, ""
    rng = generator(*seed_parts)
    memory = PeakMemory(task.device)
    clock = time.process_time if task.device.type == "cpu" else time.perf_counter
    start = clock()
    try:
        # Methods draw from rng; seeding the global generators as well keeps a method that forgets
        # from depending on which points ran before it in the same process.
        # Matching differentiates twice, which fused attention cannot.
        with global_seed(generator("global", *seed_parts)), sdpa_kernel(SDPBackend.MATH):
            compressed = method.compress(copy.deepcopy(model), task, rng, *penalties)
        architecture = getattr(compressed, "architecture", {})
        network = network_of(check_architecture(architecture), model, task)
        if refining is not None and isinstance(compressed, Compressed):
            check_complete(compressed, network)
            compressed = refine_scales(compressed, network, refining, task.budget.epochs + 1)
        history = getattr(compressed, "history", [])
    except Diverged as error:
        diverged, history = str(error) or "no reason given", error.history
    finally:
        progress.spent = (clock() - start, memory.bytes())
    _check_history(history)
    progress.history = history
    if not diverged:
        check_complete(compressed, network)
        for name, value in overrides.items():
            if compressed.epoch is None:
                raise ValueError(
                    f"{name}: {value} changes nothing where no epoch is trained, "
                    "expected a point without it"
                )
        diverged = _not_finite(compressed)
    if diverged:
        return Outcome("diverged", diverged, b"", progress.params, history, None, *progress.spent)
    artefact = bitstream.encode(compressed.tensors, network, architecture=compressed.architecture)
    _check_decoded(compressed, artefact, network, task)
    return Outcome("ok", "", artefact, progress.params, history, compressed.epoch, *progress.spent)


def _encode_unquantized(model: torch.nn.Module) -> None:
    """``ValueError`` if the network has state that no bitstream can carry, whatever its weights."""
    state = model.state_dict(keep_vars=True)
    weights = {id(weight) for weight in quantizable(model).values()}
    bitstream.encode(
        {
            name: Quantized(torch.zeros_like(tensor, dtype=torch.int32), 1.0)
            if id(tensor) in weights
            else tensor
            for name, tensor in state.items()
        },
        model,
    )


def _check_decoded(
    compressed: Compressed, artefact: bytes, model: torch.nn.Module, task: Task
) -> None:
    """``ValueError`` unless the artefact decodes to the network that the method returned.

    Told by the logits of validation data: vectors are rounded and steps are those of the codec's
    grid, which moves them a little.
    """
    decoded = bitstream.decode(artefact)
    returned = {
        name: entry.dequantize()
        if isinstance(entry, Quantized)
        else decoded[name] if isinstance(entry, CodecQuantized) else entry
        for name, entry in compressed.tensors.items()
    }  # fmt: skip
    logits = []
    for state in (returned, decoded):
        network = copy.deepcopy(model)
        network.load_state_dict(state)
        logits.append(predict(network, task.validation.x).double())
    own, found = logits
    error, spread = (float(x.square().mean().sqrt()) for x in (found - own, own - own.mean()))
    if not error <= LARGEST_ERROR * spread:
        scores = [task.score(each.float(), task.validation.y) for each in logits]
        raise ValueError(
            "the bitstream decodes to another network than was compressed: on validation data "
            f"logits are off by {error:.3g} where they spread by {spread:.3g}, the score is "
            f"{scores[1]:.4f} instead of {scores[0]:.4f}"
        )


def _not_finite(compressed: Compressed) -> str:
    """Which tensor or step is not finite, or stands for weights that are not; empty if none."""
    for name, entry in compressed.tensors.items():
        if not bool(content(entry).isfinite().all()):
            return f"{name} is not finite"
        if isinstance(entry, Quantized):
            if not math.isfinite(entry.step):
                return f"the step of {name} is {entry.step}"
            if not bool(entry.dequantize().isfinite().all()):
                return f"{name} leaves the range of float32, its step is {entry.step}"
    return ""


def _check_history(history: Any) -> None:
    """``TypeError`` unless it can be written as a table of numbers, one row per epoch."""
    if not isinstance(history, list) or not all(isinstance(row, dict) for row in history):
        raise TypeError("history is not a list of dicts, one per epoch")
    for row in history:
        if row.keys() != history[0].keys():
            raise TypeError("the rows of history differ in their keys")
        for key, value in row.items():
            if not isinstance(value, numbers.Real):
                raise TypeError(f"history: {key} is {type(value).__name__}, expected a number")


def check_reason(reason: Any) -> None:
    """``TypeError`` unless what ``skip`` returned is None or says why."""
    if reason is not None and not (isinstance(reason, str) and reason.strip()):
        raise TypeError(f"skip returned {reason!r}, expected None or the reason as text")


def check_architecture(architecture: Any) -> dict[str, Any]:
    """``TypeError`` unless the arguments of an architecture are named, and plain values."""
    if not isinstance(architecture, dict) or not all(
        isinstance(name, str) and isinstance(value, int | float | str)
        for name, value in architecture.items()
    ):
        raise TypeError(
            f"Compressed.architecture is {architecture!r}, expected a dict of int, float, str or "
            "bool by name"
        )
    return architecture


def check_complete(compressed: Any, model: torch.nn.Module) -> None:
    """``TypeError`` unless the compressed network has every tensor of the model, in its shape."""
    tensors = getattr(compressed, "tensors", None)
    if not isinstance(tensors, dict):
        raise TypeError(f"compress returned {type(compressed).__name__}, expected Compressed")
    own = model.state_dict()
    if set(tensors) != set(own):
        differing = ", ".join(sorted(map(str, set(tensors) ^ set(own))))
        raise TypeError(f"Compressed.tensors and the model's state dict differ in: {differing}")
    for name, entry in tensors.items():
        if not isinstance(entry, (Tensor, Quantized, CodecQuantized)):
            raise TypeError(
                f"Compressed.tensors[{name!r}] is {type(entry).__name__}, expected a Tensor, "
                "Quantized or CodecQuantized"
            )
        tensor = content(entry)
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"Compressed.tensors[{name!r}] holds {type(tensor).__name__}, expected a Tensor"
            )
        if tensor.shape != own[name].shape:
            raise TypeError(
                f"Compressed.tensors[{name!r}] has shape {tuple(tensor.shape)}, "
                f"the model {tuple(own[name].shape)}"
            )
        if isinstance(entry, Quantized) and not isinstance(entry.step, numbers.Real):
            raise TypeError(
                f"Compressed.tensors[{name!r}] has a step that is {type(entry.step).__name__}, "
                "expected a float"
            )
