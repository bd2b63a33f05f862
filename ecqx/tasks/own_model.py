"""A user's own architecture, named by the function that builds it, and its trained weights."""

from __future__ import annotations

import importlib
import pickle
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecqx.tasks.locating import locate

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ecqx.tasks.data import Dataset
    from ecqx.tasks.pretrain import Pretrained

_FACTORY = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<function>[A-Za-z_]\w*)")
_SHOWN = 3  # names of a kind in a message


@dataclass(frozen=True)
class OwnModel:
    """An architecture that is not a file of :mod:`ecqx.tasks.models`, and is used like one.

    Parameters
    ----------
    name : str, the model's name in paths and tables.
    factory : str, "package.module:function", the module importable. The function is called as
        ``function(input_shape, n_classes)`` and returns the network, see :mod:`ecqx.tasks.models`
        for what it may be made of.
    checkpoint : str, optional; a file with its trained ``state_dict``, as ``torch.save`` writes it;
        a path like those of own data. Takes the place of the full-precision training.
    accuracy : float, optional, above 0 and at most 1; what the checkpoint is known to reach on data
        like those of the validation split. One far below it is refused, see
        :mod:`ecqx.tasks.plausible`.

    Raises
    ------
    ValueError : the factory is not written like that.
    """

    name: str
    factory: str
    checkpoint: str | None = None
    accuracy: float | None = None

    def __post_init__(self) -> None:
        if not _FACTORY.fullmatch(self.factory):
            raise ValueError(f"factory: got {self.factory!r}, expected package.module:function")

    def build(
        self, input_shape: tuple[int, int, int], n_classes: int, **architecture: Any
    ) -> nn.Module:
        """The untrained network; ``architecture`` is handed on to the factory.

        Raises
        ------
        ValueError : the factory cannot be imported or called, or does not return a module that
            makes logits of such inputs, in training mode as in evaluation mode.
        """
        import torch
        from torch import nn

        from ecqx.tasks.plain import check_modules
        from ecqx.tasks.trial import tried_logits

        function = self._function()
        try:
            model = function(input_shape, n_classes, **architecture)
        # whatever the user's code raises, one line of it is enough for the user
        except Exception as error:
            raise ValueError(
                f"factory: {self.factory}({input_shape}, {n_classes}) failed: {_cause(error)}"
            ) from error
        if not isinstance(model, nn.Module):
            raise ValueError(
                f"factory: {self.factory} returned a {type(model).__name__}, expected an nn.Module"
            )
        try:
            check_modules(model)
        except ValueError as error:
            raise ValueError(
                f"factory: {self.factory} returned a network in which {error}"
            ) from error
        try:
            tried_logits(model, torch.zeros(2, *input_shape), n_classes)
        except ValueError as error:
            raise ValueError(f"factory: {self.factory} {error}") from error
        return model

    def missing(self, root: Path | None) -> str | None:
        """One line if the factory cannot be imported or the checkpoint not be read; else None."""
        try:
            self._function()
            if self.checkpoint is not None:
                read_checkpoint(locate(self.checkpoint, root))
        except ValueError as error:
            return str(error)
        return None

    def source_file(self) -> Path | None:
        """The file of the factory's module, found without importing it; None if it is not there.

        Modules from archives, import hooks and the like are importable, but not found.
        """
        parts = _FACTORY.fullmatch(self.factory)["module"].split(".")
        for folder in sys.path:
            module = Path(folder or ".").joinpath(*parts)
            for path in (module / "__init__.py", module.with_name(f"{module.name}.py")):
                if path.is_file():
                    return path
        return None

    def _function(self):
        match = _FACTORY.fullmatch(self.factory)
        try:
            function = getattr(importlib.import_module(match["module"]), match["function"])
        # whatever a module raises on import, one line of it is enough for the user
        except Exception as error:
            raise ValueError(f"factory: cannot import {self.factory}: {_cause(error)}") from error
        if not callable(function):
            raise ValueError(f"factory: {self.factory} is not callable, expected a function")
        return function


def given(
    build: Callable[[tuple[int, int, int], int], nn.Module],
    dataset: Dataset,
    path: Path,
    rng: torch.Generator,
    device: torch.device | str = "cpu",
    accuracy: float | None = None,
) -> Pretrained:
    """The full-precision network of a data set with trained weights from a file.

    Parameters
    ----------
    build : callable (input_shape, n_classes) -> nn.Module
    dataset : Dataset, decides the shape of inputs and the number of classes.
    path : Path, its ``state_dict``.
    rng : torch.Generator, for the weights before they are replaced.
    device : torch.device, where its score on validation is computed.
    accuracy : float, optional; what it is known to reach.

    Raises
    ------
    ValueError : as :func:`load_checkpoint`, or it is no better than chance, or far below
        ``accuracy``, see :mod:`ecqx.tasks.plausible`.
    """
    from ecqx.seeding import global_seed
    from ecqx.tasks.plausible import checked_score
    from ecqx.tasks.pretrain import Pretrained

    with global_seed(rng):
        model = build(dataset.input_shape, len(dataset.classes)).eval()
    load_checkpoint(model, path)
    try:
        score = checked_score(model.to(device), dataset, accuracy)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return Pretrained(model.cpu(), history=[], epoch=0, start=path.name, score=score)


def load_checkpoint(model: nn.Module, path: Path) -> None:
    """Give a network the weights of a file.

    Parameters
    ----------
    model : nn.Module, changed in place.
    path : Path, a ``state_dict``, as ``torch.save`` writes it.

    Raises
    ------
    ValueError : the file cannot be read, or is of another network; one line with the names that do
        not fit.
    """
    state, own = read_checkpoint(path), model.state_dict()
    faults = [
        _listed("has no", own.keys() - state.keys()),
        _listed("has, unlike the model,", state.keys() - own.keys()),
        _listed(
            "has another shape of",
            (
                f"{name} {tuple(state[name].shape)} (expected {tuple(own[name].shape)})"
                for name in own.keys() & state.keys()
                if own[name].shape != state[name].shape
            ),
        ),
    ]
    if any(faults):
        raise ValueError(f"{path}: does not fit the model: {'; '.join(filter(None, faults))}")
    model.load_state_dict(state)


def read_checkpoint(path: Path) -> dict:
    """The ``state_dict`` in a file: name -> Tensor.

    Raises
    ------
    ValueError : the file cannot be read, or holds something else, or values that are not finite;
        one line that names it.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path}: holds pickled objects or is damaged, "
            "expected torch.save(model.state_dict(), ...)"
        ) from error
    except Exception as error:  # torch raises a different type for each kind of damage
        cause = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(f"{path}: cannot be read as a checkpoint: {cause}") from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str)
        and isinstance(tensor, torch.Tensor)
        and tensor.layout == torch.strided
        for name, tensor in state.items()
    ):
        raise ValueError(f"{path}: is not a state_dict, expected a mapping from names to tensors")
    for name, tensor in state.items():
        # as float32, like the model: isfinite does not support every type
        if tensor.is_floating_point() and not bool(tensor.float().isfinite().all()):
            raise ValueError(f"{path}: {name} holds values that are not finite")
    return state


def _cause(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _listed(fault: str, names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{fault} {', '.join(names[:_SHOWN])}{more}" if names else ""
