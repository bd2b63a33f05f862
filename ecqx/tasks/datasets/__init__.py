"""One data set per file, known by its file name.

A file holds one function ``prepare(seed: int, root: Path | None) -> Dataset``, where ``root`` is
the folder of the data sets that are read from disk. Optional beside it:

``augment(x, rng)``
    Random variations of a batch of training inputs, same shape, the argument left untouched.
``loss(logits, y)``, ``score(logits, y)``
    Replace those of :func:`ecqx.tasks.task.objective`.
``missing(root)``
    For data sets read from disk: one line that says which file to put where, or None if nothing
    is missing. The workflow asks before it starts.
``ROWS_DIFFER = True``
    The rows of an input are quantities of different kinds, as the coefficients of MFCCs are, and
    not positions of an image.
``ARCHIVE``
    For data sets that come in one archive: where from, see :mod:`ecqx.tasks.download`.

The split must keep apart what belongs together (a speaker, a source image), and what a data set
draws at random must follow from ``seed`` alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecqx.seeding import derive_seed
from ecqx.tasks.registry import Registry

if TYPE_CHECKING:
    from ecqx.tasks.data import Dataset

_REGISTRY = Registry(__name__, Path(__file__).parent)


def names() -> list[str]:
    """Names of all data sets that are files, sorted; imports none of them."""
    return _REGISTRY.names()


def get(name: str) -> Any:
    """The module of the data set ``name``, or what was registered under it.

    Raises
    ------
    ValueError : there is none; the known names are listed.
    """
    return _REGISTRY.get(name)


def prepared(name: str, root: Path | None = None) -> Dataset:
    """The data set ``name`` as every part of the benchmark takes it.

    Parameters
    ----------
    name : str
    root : Path, optional; where data sets that are read from disk lie.

    Raises
    ------
    ValueError, OSError : there is none of this name, it calls itself otherwise, or its files are
        not what it expects.
    """
    dataset = get(name).prepare(derive_seed("prepare_data", name), root)
    if dataset.name != name:  # augmentation, loss and score are looked up under the name
        raise ValueError(f"the data set calls itself {dataset.name!r}, expected {name!r}")
    return dataset


def register(name: str, entry: Any) -> None:
    """Add a data set that has no file: an object with what the module would have.

    Raises
    ------
    ValueError : a file has this name.
    """
    _REGISTRY.register(name, entry)
