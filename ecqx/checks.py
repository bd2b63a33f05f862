"""The contract of a compression method (:class:`ecqx.compression.contract.Method`), as checks.

``python -m ecqx check baselines/mine.py`` runs all of them on a small network and data set.
Each check is a function ``check(method, model, task)`` that returns nothing or raises
:class:`ContractError`, saying what was expected.
"""

from __future__ import annotations

import copy
import dataclasses
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from ecqx.compression import budgeting
from ecqx.compression.architecture import network_of
from ecqx.compression.artefact import bitstream, codec
from ecqx.compression.contract import (
    ROLES,
    CodecQuantized,
    Compressed,
    Method,
    Quantized,
    content,
    describe_parameters,
    make_method,
    quantizable,
)
from ecqx.compression.distillation import check_distillable
from ecqx.compression.loading import load_method
from ecqx.compression.run import check_architecture, check_complete, check_reason
from ecqx.seeding import generator
from ecqx.tasks.data import Split
from ecqx.tasks.scaling import scaled
from ecqx.tasks.task import Budget, Task, predict


class ContractError(AssertionError):
    """A method breaks the contract; the message says which part, and how."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ContractError(message)


def _compress(method: Method, model: torch.nn.Module, task: Task, seed: int = 0) -> Compressed:
    return method.compress(copy.deepcopy(model), task, generator("check", seed))


def check_declaration(method: Method, model: torch.nn.Module, task: Task) -> None:
    """A frozen dataclass; every field int, float, str or bool, with a default, role and label."""
    cls = type(method)
    _require(dataclasses.is_dataclass(cls), "Method is not a dataclass")
    _require(cls.__dataclass_params__.frozen, "Method is not frozen")
    _require(bool(sys.modules[cls.__module__].__doc__), "the file has no module docstring")
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        _require(
            kind in (int, float, str, bool),
            f"field {field.name} is {kind}, expected int, float, str or bool",
        )
        _require(field.default is not dataclasses.MISSING, f"field {field.name} has no default")
        _require(
            type(field.default) is kind,
            f"the default of {field.name} is {field.default!r}, expected {kind.__name__}",
        )
        label = field.metadata.get("label", "")
        _require(
            isinstance(label, str) and "\n" not in label,
            f"the label of {field.name} is {label!r}, expected one line of text",
        )
    for row in describe_parameters(cls):
        roles = ROLES if row["kind"] in ("int", "float") else ("variant",)
        _require(
            row["role"] in roles,
            f"the role of {row['parameter']} is {row['role']!r}, expected {' or '.join(roles)}",
        )


def check_validation(method: Method, model: torch.nn.Module, task: Task) -> None:
    """Every numeric field refuses an absurd value with a ValueError naming field and value."""
    for field in dataclasses.fields(method):
        if type(field.default) not in (int, float):
            continue
        absurd = type(field.default)(-(10**9))
        try:
            dataclasses.replace(method, **{field.name: absurd})
        except ValueError as error:
            _require(
                field.name in str(error) and str(absurd) in str(error),
                f"the ValueError for {field.name} = {absurd} does not name both: {error}",
            )
        else:
            raise ContractError(f"{field.name} = {absurd} is accepted, expected a ValueError")


def check_applies(method: Method, model: torch.nn.Module, task: Task) -> None:
    """``skip``, where there is one, returns None on a plain convolutional network."""
    reason = method.skip(copy.deepcopy(model), task) if hasattr(method, "skip") else None
    try:
        check_reason(reason)
    except TypeError as error:
        raise ContractError(str(error)) from error
    _require(reason is None, f"skips a plain convolutional classification task: {reason}")


def check_result(method: Method, model: torch.nn.Module, task: Task) -> None:
    """The result covers the model's state dict; every weight is quantized, on finite numbers."""
    result = _compress(method, model, task)
    _require(isinstance(result, Compressed), f"returned {type(result).__name__}, not Compressed")
    try:
        network = _network_of(result, model, task)
        check_complete(result, network)
    except (TypeError, ValueError) as error:
        raise ContractError(str(error)) from error
    for name in quantizable(network):
        entry = result.tensors[name]
        _require(
            isinstance(entry, (Quantized, CodecQuantized)),
            f"{name} is {type(entry).__name__}, expected Quantized or CodecQuantized",
        )
    for name, entry in result.tensors.items():
        if isinstance(entry, Quantized):
            _require(not entry.codes.is_floating_point(), f"the codes of {name} are not integers")
            _require(
                isinstance(entry.step, float) and 0 < entry.step < float("inf"),
                f"the step of {name} is {entry.step!r}, expected a float above 0",
            )
        elif isinstance(entry, torch.Tensor):
            _require(bool(entry.isfinite().all()), f"{name} is not finite")


def check_decodes(method: Method, model: torch.nn.Module, task: Task) -> None:
    """The bitstream decodes to exactly the weights, and to a network that predicts."""
    result = _compress(method, model, task)
    network = _network_of(result, model, task)
    try:
        decoded = bitstream.decode(_encoded(result, network))
    except ValueError as error:
        raise ContractError(f"does not fit into a bitstream: {error}") from error
    for name, entry in result.tensors.items():
        if isinstance(entry, Quantized):
            step = codec.step_of(codec.nearest_qp(entry.step))
            expected = Quantized(entry.codes, step).dequantize()
            _require(torch.equal(decoded[name], expected), f"{name} decodes to other weights")
    rebuilt = bitstream.load(copy.deepcopy(network), decoded)
    logits = predict(rebuilt, task.validation.x)
    _require(bool(logits.isfinite().all()), "the decoded network's outputs are not finite")


def check_model_unaltered(method: Method, model: torch.nn.Module, task: Task) -> None:
    """Nothing outside the given copy changes: neither the task's data nor a shared tensor."""
    given = copy.deepcopy(model)
    data = [t.clone() for t in (task.train.x, task.train.y, task.validation.x, task.validation.y)]
    hooks = _hook_count(given)
    if hasattr(method, "skip"):
        weights = copy.deepcopy(given.state_dict())
        method.skip(given, task)
        own = given.state_dict()
        _require(
            own.keys() == weights.keys()
            and all(torch.equal(own[n], w) for n, w in weights.items()),
            "skip altered the model",
        )
        _require(_hook_count(given) == hooks, "skip left hooks on the model")
    result = method.compress(given, task, generator("check", 0))
    after = (task.train.x, task.train.y, task.validation.x, task.validation.y)
    _require(all(map(torch.equal, data, after)), "the task's data were altered")
    _require(_hook_count(given) == hooks, "hooks were left on the model")
    kept = {n: content(e) for n, e in result.tensors.items()}
    before = {n: tensor.clone() for n, tensor in kept.items()}
    with torch.no_grad():
        for tensor in given.state_dict().values():
            tensor.add_(1)
    for name, tensor in kept.items():
        _require(
            torch.equal(tensor, before[name]), f"{name} shares memory with the model it was given"
        )


def check_reproducible(method: Method, model: torch.nn.Module, task: Task) -> None:
    """The same rng gives the same bytes, whatever the global generators hold."""
    streams = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        result = _compress(method, model, task)
        streams.append(_encoded(result, _network_of(result, model, task)))
    _require(streams[0] == streams[1], "two runs with the same rng give different bitstreams")


def check_budget(method: Method, model: torch.nn.Module, task: Task) -> None:
    """At most ``task.budget.epochs`` passes over the training data; history has a row for each."""
    epochs = task.budget.epochs
    counted = _CountingTask(**{f.name: getattr(task, f.name) for f in dataclasses.fields(task)})
    result = _compress(method, model, counted)
    passes = counted.drawn[0]
    _require(passes <= epochs, f"{passes} passes over the training data, the budget is {epochs}")
    _require(
        len(result.history) == passes,
        f"the history has {len(result.history)} rows for {passes} passes over the data",
    )
    _require(
        (result.epoch is None) == (passes == 0) and (result.epoch or 0) <= epochs,
        f"epoch is {result.epoch} after {passes} passes",
    )


def _network_of(result: Compressed, model: torch.nn.Module, task: Task) -> torch.nn.Module:
    return network_of(check_architecture(result.architecture), model, task)


def _encoded(result: Compressed, network: torch.nn.Module) -> bytes:
    return bitstream.encode(result.tensors, network, architecture=result.architecture)


class _CountingTask(Task):
    """A task that counts how often its training data is gone through."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        object.__setattr__(self, "drawn", [0])

    def batches(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        self.drawn[0] += 1
        return super().batches(epoch)


def _hook_count(model: torch.nn.Module) -> int:
    return sum(
        len(hooks)
        for module in model.modules()
        for hooks in (
            module._forward_hooks,
            module._forward_pre_hooks,
            module._backward_hooks,
            module._backward_pre_hooks,
        )
    )


CHECKS: dict[str, Callable[[Method, torch.nn.Module, Task], None]] = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_declaration,
        check_validation,
        check_applies,
        check_result,
        check_decodes,
        check_model_unaltered,
        check_reproducible,
        check_budget,
    )
}


def example() -> tuple[torch.nn.Module, Task]:
    """A small convolutional network with batch norm, and a task of noisy bars to train it on."""
    rng = generator("example")

    def split(n: int) -> Split:
        y = torch.arange(n) % 3
        x = 0.3 * torch.randn(n, 1, 8, 8, generator=rng)
        for i, label in enumerate(y.tolist()):
            x[i, 0, 2 * label + 1] += 1.0
        return Split(x, y)

    task = Task("example/cnn", split(96), split(48), 3, Budget(2, 1e-3, 32), build=_example_network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _example_network(task.input_shape, task.n_classes)
    return model, task


def _example_network(
    input_shape: tuple[int, int, int], n_classes: int, width: float = 1.0
) -> torch.nn.Module:
    first, second = scaled((6, 8), width)
    return torch.nn.Sequential(
        torch.nn.Conv2d(input_shape[0], first, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(first),
        torch.nn.ReLU(),
        torch.nn.Conv2d(first, second, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(4 * second, n_classes),
    )


def check_method(method: Method, model: torch.nn.Module, task: Task) -> None:
    """All checks, in order; the first that fails raises :class:`ContractError`."""
    for check in CHECKS.values():
        check(method, model, task)


def grid_problems(folder: Path, grids: dict[str, list[dict[str, Any]]]) -> list[str]:
    """One line per baseline file that does not load and per point that its method refuses.

    Parameters
    ----------
    folder : where the baseline files are
    grids : method -> points, each a dict of hyper-parameters
    """
    problems = []
    for name, points in grids.items():
        try:
            method = load_method(folder / f"{name}.py")
        except ValueError as error:
            problems.append(f"methods: {name}: {error}")
            continue
        for point in points:
            own, overrides = budgeting.split(point)
            taken = {field.name for field in dataclasses.fields(method)}.intersection(overrides)
            problems += [
                f"grids.{name}: {field}: the method has a hyper-parameter of that name, which is "
                "reserved for the budget; expected another one"
                for field in sorted(taken)
            ]
            try:
                built = make_method(method, own)
                budgeting.check(overrides)
                if overrides.get("distil"):
                    check_distillable(built)
            except ValueError as error:
                problems.append(f"grids.{name}: {error}")
            except Exception as error:
                problems.append(f"grids.{name}: {point}: {type(error).__name__}: {error}")
    return list(dict.fromkeys(problems))


def check_files(files: list[Path]) -> int:
    """Run all checks on baseline files and print a line for each; 1 if one fails, else 0."""
    torch.set_num_threads(1)
    model, task = example()
    failed = False
    for path in files:
        try:
            method = load_method(path)()
        except ValueError as error:
            print(f"FAILED  {error}")
            failed = True
            continue
        for name, check in CHECKS.items():
            try:
                check(method, model, task)
            except Exception as error:  # a method may raise anything
                kind = "" if isinstance(error, ContractError) else f"{type(error).__name__}: "
                print(f"FAILED  {path}  {name}: {kind}{error}")
                failed = True
            else:
                print(f"ok      {path}  {name}")
    return int(failed)
