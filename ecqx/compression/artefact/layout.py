"""How each tensor of a network's state travels in its artefact.

Weights that a method quantizes are arrays of their own. A batch norm is one scale and one shift per
channel (:mod:`ecqx.compression.artefact.folding`); with biases and all other parameters of one
dimension they are two vectors for the whole network. Buffers are few and not trained, so they stay
as they are to the last bit. What is shared is sent once, what is zero not at all.

The layout is part of the artefact, so that it decodes without the network at hand.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

# What becomes of a tensor, in one letter.
WEIGHT = "w"  # an array of its own
VECTOR = "v"  # a part of the vector of shifts
NORM = "n"  # a batch norm: a part of both vectors
COUNTED_NORM = "c"  # likewise, with a counter of batches, which starts at zero again
EXACT = "x"  # its bytes
SAME = "s"  # the same tensor under another name
NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Entry:
    """One tensor of a state dict, or one batch norm.

    Attributes
    ----------
    name : of the tensor; of a batch norm, that of its module
    kind : one of the letters above
    shape : of the tensor, or (channels,); of a weight empty, its array has it
    detail : of exact tensors the type of their elements, of shared ones the other name
    exponents : by how many powers of two the values are sent larger than they are; of a batch norm
        those of scale and shift
    """

    name: str
    kind: str
    shape: tuple[int, ...] = ()
    detail: str = ""
    exponents: tuple[int, ...] = ()


def layout_of(model: nn.Module) -> list[Entry]:
    """The entries of a network, in the order of its state dict.

    Raises
    ------
    ValueError : state that is no tensor, or a parameter that is not of real floating point; the
        message names it.
    """
    norms = {
        name: module for name, module in model.named_modules(remove_duplicate=False)
        if folds(module)
    }  # fmt: skip
    parameters = {id(parameter) for parameter in model.parameters()}
    entries: list[Entry] = []
    first: dict[int, str] = {}  # which name a tensor has had
    for name, tensor in model.state_dict(keep_vars=True).items():
        module, _, own = name.rpartition(".")
        if not isinstance(tensor, Tensor):
            raise ValueError(
                f"{name}: the state of the network holds {type(tensor).__name__}, expected tensors"
            )
        known = first.setdefault(id(tensor), name)
        norm = norms.get(module)
        if norm is not None and own in (*NORM_TENSORS, COUNTER):
            if known == name and own == NORM_TENSORS[0]:
                counted = getattr(norm, COUNTER) is not None
                kind = COUNTED_NORM if counted else NORM
                entries.append(Entry(module, kind, (norm.num_features,)))
            elif known != name:
                entries.append(Entry(name, SAME, detail=known))
        elif known != name:
            entries.append(Entry(name, SAME, detail=known))
        elif id(tensor) not in parameters:
            entries.append(Entry(name, EXACT, tuple(tensor.shape), _type_name(tensor)))
        elif not tensor.is_floating_point():
            raise ValueError(f"{name}: is {tensor.dtype}, expected a parameter of floating point")
        elif tensor.numel() == 0:
            entries.append(Entry(name, EXACT, tuple(tensor.shape), _type_name(tensor)))
        elif tensor.ndim >= 2:
            entries.append(Entry(name, WEIGHT))
        else:
            entries.append(Entry(name, VECTOR, tuple(tensor.shape)))
    return entries


def folds(module: nn.Module) -> bool:
    """Whether it is a batch norm that a scale and a shift per channel stand for."""
    return isinstance(module, _BatchNorm) and None not in (
        module.weight, module.bias, module.running_mean, module.running_var
    )  # fmt: skip


def write(entries: list[Entry], architecture: Mapping[str, Any]) -> bytes:
    """The layout as text, from which :func:`read` makes the same entries and architecture."""
    texts: list[Any] = [dict(architecture)] if architecture else []
    for entry in entries:
        code = ",".join(map(str, entry.shape))
        if any(entry.exponents):
            code += "^" + ",".join(map(str, entry.exponents))
        if entry.detail:
            code += ":" + entry.detail
        texts += [entry.name, entry.kind + code]
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()


def read(text: bytes) -> tuple[list[Entry], dict[str, Any]]:
    """Entries and architecture of a layout that :func:`write` wrote."""
    texts = json.loads(text)
    architecture = texts.pop(0) if texts and isinstance(texts[0], dict) else {}
    entries = []
    for name, code in zip(texts[::2], texts[1::2], strict=True):
        numbers, _, detail = code[1:].partition(":")
        shape, _, exponents = numbers.partition("^")
        entries.append(Entry(name, code[0], _numbers(shape), detail, _numbers(exponents)))
    return entries, architecture


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(","))) if text else ()


def _type_name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def type_of(name: str) -> torch.dtype:
    """The type of elements that an exact tensor's detail names."""
    kind = getattr(torch, name, None)
    if not isinstance(kind, torch.dtype):
        raise ValueError(f"{name!r} is no type of elements")
    return kind


def exact_bytes(entry: Entry) -> int:
    """How many bytes an exact tensor has."""
    return math.prod(entry.shape) * type_of(entry.detail).itemsize
