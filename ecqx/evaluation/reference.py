"""What compressed networks are compared with, and the files that hold attribution maps.

Both files are NumPy archives (.npz) with one array per explainer, named as the explainer. The file
of a reference has further arrays whose names begin with "reference.". Maps can be read without
importing torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

_PREFIX = "reference."
_PAIR_FIELDS = ("index", "target", "correct")
_NUMBERS = ("accuracy", "accuracy_validation")
_FIELDS = (*_PAIR_FIELDS, "background", "logits", *_NUMBERS)


@dataclass(frozen=True)
class Reference:
    """The full-precision network on the test split, and its maps of the explained pairs.

    Attributes
    ----------
    index : Tensor, int64, shape (m,); positions in the test split of the explained pairs.
    target : Tensor, int64, shape (m,); the classes that are explained: the label, or one of the
        labels.
    maps : dict[str, Tensor]; explainer -> maps of the pairs, float32, shape (m, H, W).
    background : Tensor, float32, shape (b, C, H, W); the training inputs that some explainers
        compare inputs with.
    correct : Tensor, bool, shape (m,); where the class that is explained is predicted.
    logits : Tensor, float32, shape (N, n_classes); of the whole test split, in its order.
    accuracy : float, score on the whole test split, in [0, 1].
    accuracy_validation : float, score on the validation split, in [0, 1]: what operating points may
        be chosen by.
    """

    index: Tensor
    target: Tensor
    maps: dict[str, Tensor]
    background: Tensor
    correct: Tensor
    logits: Tensor
    accuracy: float
    accuracy_validation: float


def save_reference(path: str | Path, reference: Reference) -> None:
    """Write a reference; the same reference gives the same bytes."""
    fields = {_PREFIX + name: np.asarray(getattr(reference, name)) for name in _FIELDS}
    _write(path, {**fields, **{name: maps.numpy() for name, maps in reference.maps.items()}})


def load_reference(path: str | Path) -> Reference:
    """Read what `save_reference` wrote.

    Raises
    ------
    FileNotFoundError : there is no such file.
    ValueError : the file is damaged or is no reference; names path and cause.
    """
    import torch

    arrays = _read(path)
    missing = [name for name in _FIELDS if _PREFIX + name not in arrays]
    if missing:
        raise ValueError(f"{path}: not a reference, lacks {', '.join(missing)}")
    fields = {name: arrays.pop(_PREFIX + name) for name in _FIELDS}
    pairs = len(fields["index"])
    for name, array in {**{key: fields[key] for key in _PAIR_FIELDS}, **arrays}.items():
        if len(array) != pairs:
            raise ValueError(f"{path}: {name} has {len(array)} samples, index has {pairs}")
    numbers = {name: float(fields.pop(name)) for name in _NUMBERS}
    return Reference(
        maps={name: torch.from_numpy(array) for name, array in arrays.items()},
        **numbers,
        **{name: torch.from_numpy(array) for name, array in fields.items()},
    )


def save_maps(path: str | Path, maps: Mapping[str, Tensor]) -> None:
    """Write maps to be looked at: float16, each divided by its largest magnitude.

    Half precision spans too few decades for relevances as they come; their scale is no part of
    the picture. A map that is all zero, or not finite, is written as it is.

    Parameters
    ----------
    path : str or Path
    maps : mapping of str to Tensor, explainer -> maps, shape (n, H, W).
    """
    arrays = {}
    for name, tensor in maps.items():
        array = tensor.numpy().astype(np.float64)
        peak = np.abs(array).max(axis=(1, 2), keepdims=True)
        scalable = np.isfinite(peak) & (peak > 0)
        arrays[name] = (array / np.where(scalable, peak, 1.0)).astype(np.float16)
    _write(path, arrays)


def load_maps(path: str | Path) -> dict[str, np.ndarray]:
    """Read the maps of either kind of file, without importing torch.

    Returns
    -------
    dict[str, ndarray]
        Explainer -> maps (n, H, W); float16 with largest magnitude 1 from `save_maps`, float32 from
        `save_reference`.

    Raises
    ------
    FileNotFoundError : there is no such file.
    ValueError : the file is damaged; names path and cause.
    """
    arrays = _read(path)
    return {name: array for name, array in arrays.items() if not name.startswith(_PREFIX)}


def _write(path: str | Path, arrays: dict[str, np.ndarray]) -> None:
    # Through a file object: given a name, NumPy appends ".npz" to those that lack it.
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def _read(path: str | Path) -> dict[str, np.ndarray]:
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("a single array")
        with archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise
    except (EOFError, OSError, ValueError, BadZipFile) as error:
        raise ValueError(f"{path}: cannot be read as an archive of maps: {error}") from error
