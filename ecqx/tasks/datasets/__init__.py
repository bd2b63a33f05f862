"""One data set per file, known by its file name.

A file holds one function ``prepare(seed: int, root: Path | None) -> Dataset``, where ``root`` is
the folder of the data sets that are read from disk. Optional beside it:

``augment(x, rng)``
    Random variations of a batch of training inputs, same shape, the argument left untouched.
``loss(logits, y)``, ``score(logits, y)``
    Replace cross entropy and accuracy, see :class:`ecqx.tasks.task.Task`.
``missing(root)``
    For data sets read from disk: one line that says which file to put where, or None if nothing
    is missing. The workflow asks before it starts.

The split must keep apart what belongs together (a speaker, a source image), and what a data set
draws at random must follow from ``seed`` alone.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from ecqx.tasks import registry

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Names of all data sets, sorted; imports none of them."""
    return registry.module_names(_FOLDER)


def get(name: str) -> ModuleType:
    """The module of the data set ``name``; ValueError listing the known names."""
    return registry.load_module(__name__, _FOLDER, name)
