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
_FIELDS = ("index", "predictions", "correct", "accuracy")


@dataclass(frozen=True)
class Reference:
    """The full-precision network on the evaluation subset.

    Attributes
    ----------
    index : Tensor, int64, shape (n,)
        The evaluation subset: positions in the test split, in the order of everything below.
    maps : dict[str, Tensor]
        Explainer -> maps, float32, shape (n, H, W), with the label as target class.
    predictions : Tensor, int64, shape (n,)
        Predicted classes; -1 where a logit was not finite.
    correct : Tensor, bool, shape (n,)
        Where the prediction is the label.
    accuracy : float
        Accuracy on the whole test split, in [0, 1].
    """

    index: Tensor
    maps: dict[str, Tensor]
    predictions: Tensor
    correct: Tensor
    accuracy: float


def save_reference(path: str | Path, reference: Reference) -> None:
    """Write a reference; the same reference gives the same bytes."""
    fields = {_PREFIX + name: np.asarray(getattr(reference, name)) for name in _FIELDS}
    _write(path, {**fields, **{name: maps.numpy() for name, maps in reference.maps.items()}})


def load_reference(path: str | Path) -> Reference:
    """Read what `save_reference` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or is no reference; names path and cause.
    """
    import torch

    arrays = _read(path)
    missing = [name for name in _FIELDS if _PREFIX + name not in arrays]
    if missing:
        raise ValueError(f"{path}: not a reference, lacks {', '.join(missing)}")
    index, predictions, correct, accuracy = (arrays.pop(_PREFIX + name) for name in _FIELDS)
    for name, array in {"predictions": predictions, "correct": correct, **arrays}.items():
        if len(array) != len(index):
            raise ValueError(f"{path}: {name} has {len(array)} samples, index has {len(index)}")
    return Reference(
        index=torch.from_numpy(index),
        maps={name: torch.from_numpy(array) for name, array in arrays.items()},
        predictions=torch.from_numpy(predictions),
        correct=torch.from_numpy(correct),
        accuracy=float(accuracy),
    )


def save_maps(path: str | Path, maps: Mapping[str, Tensor]) -> None:
    """Write maps to be looked at: float16, each divided by its largest magnitude.

    Half precision spans too few decades for relevances as they come; their scale is no part of
    the picture. A map that is all zero, or not finite, is written as it is.

    Parameters
    ----------
    path : str or Path
    maps : mapping of str to Tensor
        Explainer -> maps, shape (n, H, W).
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
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged; names path and cause.
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
