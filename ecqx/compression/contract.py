"""The contract of a compression method: :class:`Method`, and what it is given and returns."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ecqx.tasks.task import Task


class Diverged(Exception):
    """Training led to numbers that are not finite: a result, and recorded as such, not a crash.

    Parameters
    ----------
    message : which number became what, and when
    history : one dict per epoch that was finished before
    """

    def __init__(self, message: str, history: Sequence[dict[str, float]] = ()) -> None:
        super().__init__(message)
        self.history = list(history)


@dataclass(frozen=True)
class Quantized:
    """A weight tensor as integer multiples of one step.

    Attributes
    ----------
    codes : Tensor of an integer type, shape (*shape,)
    step : float > 0; the weight is ``codes * step`` in float32. The bitstream has the step of the
        codec's grid that is nearest, at most 0.4 % off; ``Grid.coded`` of
        :mod:`ecqx.compression.assignment.grid` is on it from the start.
    """

    codes: Tensor
    step: float

    def dequantize(self) -> Tensor:
        """float32, shape (*shape,): the weight the codes stand for."""
        return self.codes.to(torch.float32) * self.step


@dataclass(frozen=True)
class CodecQuantized:
    """A weight tensor whose quantization is left to the codec's trellis.

    Attributes
    ----------
    values : float Tensor, shape (*shape,)
    qp : int, the codec's quantization parameter; the step is
        ``(4 + qp % 4) * 2 ** (qp // 4 - 2)`` (ISO/IEC 15938-17, density 2).
    lambda_scale : float >= 0, weight of the rate in the codec's rate-distortion decision.
    """

    values: Tensor
    qp: int
    lambda_scale: float


@dataclass(frozen=True)
class Compressed:
    """A compressed network: everything its bitstream has to carry.

    Attributes
    ----------
    tensors : for every key of the network's ``state_dict`` either a :class:`Quantized`, a
        :class:`CodecQuantized`, or the tensor itself where it stays as it is.
    history : one dict per epoch of training (empty without training). Of the last one,
        ``validation_score``, ``sparsity`` and ``entropy_bytes`` are reported beside the chosen
        epoch's, if it has them.
    epoch : the epoch (from 1) that validation chose; 0 if it preferred what a method that does not
        train had made to each epoch of refinement; None without training.
    architecture : where the network is another than the model: what ``task.build`` takes for it,
        by name; int, float, str or bool. The bitstream has it, and decoders rebuild the network.
    """

    tensors: dict[str, Tensor | Quantized | CodecQuantized]
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    epoch: int | None = None
    architecture: dict[str, Any] = dataclasses.field(default_factory=dict)


Penalty = Callable[[Tensor, Tensor, Tensor], Tensor]
"""An addition to the training loss: (x, y, logits) -> scalar, called after the forward pass."""


class Method(Protocol):
    """The contract of a compression method. ``python -m ecqx check FILE`` checks it.

    One method is one file, known by its name, with one class ``Method`` and a module docstring that
    names the source and the deviations from it. The class need not inherit from this one.

    **Hyper-parameters** are the fields of the class, a frozen dataclass: int, float, str or bool,
    each with a default. :func:`parameter` says of a field whether it leads along the method's front
    or makes a variant, and what axes and names call it. ``__post_init__`` only validates: a value
    out of range is a ``ValueError`` that names field, value and range (:func:`check_range`,
    :func:`check_choice`). The number of levels per weight is called ``levels``; ``bits: b`` in a
    configuration then stands for 2^b of them.

    **May be left out:** ``skip(model, task) -> str | None``, asked before anything is trained. It
    returns the reason why the method does not apply to this full-precision network or task, and the
    point is recorded as skipped; None means that it applies. Neither network nor task is altered.

    **Randomness** has two sources. Order and augmentation of the data are the task's: each epoch's
    ``task.batches(epoch)``, which :func:`ecqx.compression.training.train_quantized` goes through,
    are the same for all methods, so that they see the same minibatches. What a method draws itself
    comes from ``rng`` alone. The same task and seed give the same bytes.

    **Budget:** at most ``task.budget.epochs`` passes over ``task.train``, with one row of history
    each. ``task.validation`` decides on the epoch. A task has no test data, and a method does not
    measure size, accuracy or time: the benchmark does, on the decoded bitstream.

    **Failure:** numbers that stop being finite are :class:`Diverged`, raised with the history so
    far; a result with such numbers counts as diverged too. Any other exception, and any result that
    breaks this contract or does not fit into a bitstream, is recorded as a failed point.

    **Trained methods** hand ``train_quantized`` an
    :class:`ecqx.compression.assignment.assigners.Assigner`, the part of the training that is their
    own. For a penalty to be laid over it, as :class:`ecqx.compression.methods.wcam.WCAM` does,
    ``compress`` takes a further argument ``penalty: Penalty | None = None`` and passes it on.
    """

    def compress(self, model: torch.nn.Module, task: Task, rng: torch.Generator) -> Compressed:
        """Compress a network.

        Parameters
        ----------
        model : full-precision network, a copy that may be altered; it has no hooks when this
            returns
        task : training and validation data, loss, score, batches and budget; it is not altered
        rng : source of what the method draws itself

        Returns
        -------
        Compressed : every tensor of the state dict of the model, or of the network of another
            architecture that ``task.build`` makes; each parameter of two or more dimensions
            (:func:`quantizable`) quantized; in memory of its own

        Raises
        ------
        Diverged : numbers stopped being finite
        """


def content(entry: Tensor | Quantized | CodecQuantized) -> Tensor:
    """The one tensor that an entry of :attr:`Compressed.tensors` holds."""
    if isinstance(entry, Quantized):
        return entry.codes
    return entry.values if isinstance(entry, CodecQuantized) else entry


def quantizable(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """The parameters every method quantizes: those of two or more dimensions, by name.

    One that several layers share is there once, one without elements not at all.
    """
    return {name: p for name, p in model.named_parameters() if p.ndim >= 2 and p.numel()}


ROLES = ("front", "variant")


def parameter(default: Any, *, role: str | None = None, label: str = "", words: str = "") -> Any:
    """A hyper-parameter, as the field of a method, with what tables and figures make of it.

    Parameters
    ----------
    default : int, float, str or bool, the field's default
    role : "front": its values lead along the method's front; "variant": it says how the method
        works, and each value has a front of its own. By default numbers lead along the front, and
        text and booleans make variants, as do fields without this function.
    label : what an axis calls it, without a unit; by default its name
    words : what the name of a variant says of a value other than the default, with ``{}`` in the
        value's place, such as "relevance every {} steps"; by default the symbol before it, which
        is what stands before a colon in the label, or the parameter's name

    Raises
    ------
    ValueError : an unknown role, or words in which no value has a place
    """
    metadata = {"label": label, "words": words}
    if role is not None:
        check_choice("role", role, ROLES)
        metadata["role"] = role
    if words and words.count("{}") != 1:
        raise ValueError(f"words: {words!r} has {words.count('{}')} places for a value, expected 1")
    return dataclasses.field(default=default, metadata=metadata)


def describe_parameters(cls: type[Method]) -> list[dict[str, str]]:
    """The hyper-parameters of a method as rows of text, in the order of its fields.

    Returns
    -------
    list of dict : parameter (name), kind ("int", "float", "str" or "bool"), role ("front" or
        "variant"), default, label and words (empty: none given), see :func:`parameter`
    """
    hints = typing.get_type_hints(cls)
    return [
        {
            "parameter": field.name,
            "kind": hints[field.name].__name__,
            "role": field.metadata.get("role", _usual_role(hints[field.name])),
            "default": str(field.default),
            "label": field.metadata.get("label", ""),
            "words": field.metadata.get("words", ""),
        }
        for field in dataclasses.fields(cls)
    ]


def _usual_role(kind: type) -> str:
    return "front" if kind in (int, float) else "variant"


def check_range(field: str, value: float, low: float, high: float) -> None:
    """For ``__post_init__``: ``ValueError`` naming field, value and range unless it is inside."""
    if not low <= value <= high:
        raise ValueError(f"{field}: {value!r} is out of range, expected {low} to {high}")


def check_choice(field: str, value: str, choices: tuple[str, ...]) -> None:
    """For ``__post_init__``: ``ValueError`` naming field, value and choices unless it is one."""
    if value not in choices:
        raise ValueError(f"{field}: {value!r} is unknown, expected one of {', '.join(choices)}")


BITS, LEVELS = "bits", "levels"
_TYPE_NAMES = {int: "an integer", float: "a number", str: "text", bool: "true or false"}


def make_method(cls: type[Method], params: Mapping[str, Any]) -> Method:
    """Build a method from untyped parameters, as they come from a configuration file.

    Integers are accepted for float fields, and ``bits: b`` for ``levels: 2^b`` of a method with
    levels and no field of that name; nothing else is converted.

    Raises
    ------
    ValueError : an unknown field, a value of the wrong type, bits and levels that disagree, or what
        ``__post_init__`` refuses; the message names field, value and expectation.
    """
    hints = typing.get_type_hints(cls)
    fields = [f.name for f in dataclasses.fields(cls)]
    counted = BITS not in fields and hints.get(LEVELS) is int
    kinds = hints | {BITS: int} if counted else hints
    known = [BITS, *fields] if counted else fields
    values = {}
    for name, value in params.items():
        if name not in known:
            raise ValueError(
                f"{name}: no such hyper-parameter, expected one of: {', '.join(known) or 'none'}"
            )
        expected = kinds[name]
        if expected is float and type(value) is int:
            value = float(value)
        if type(value) is not expected:
            hint = ""
            if expected in (int, float) and isinstance(value, str):
                hint = " (YAML reads 1e-5 as text: write 1.0e-5, without quotes)"
            kind = _TYPE_NAMES.get(expected, getattr(expected, "__name__", str(expected)))
            raise ValueError(f"{name}: {value!r} is {type(value).__name__}, expected {kind}{hint}")
        values[name] = value
    if counted and BITS in values:
        bits = values.pop(BITS)
        check_range(BITS, bits, 2, 8)
        if values.setdefault(LEVELS, 2**bits) != 2**bits:
            raise ValueError(
                f"bits: {bits} stands for levels: {2**bits}, got levels: {values[LEVELS]} as well"
            )
    return cls(**values)
