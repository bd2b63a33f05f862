"""A user's own data, described by a mapping of the configuration instead of by code.

One kind per file, known by its file name. A file holds one frozen dataclass ``Source``, whose
fields are the keys of the mapping beside ``kind``, whose ``__post_init__`` only validates, and
which has what the module of a data set has (:mod:`ecqx.tasks.datasets`): ``prepare(seed, root)``,
``missing(root)`` and ``augment``. Registered there under its ``name``, it is a data set like all
others. Paths are relative to ``root``, the folder of the data sets that are read from disk.

The files import what is heavy where they use it: the workflow reads descriptions while it plans.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecqx.tasks.own_data._source import Source
from ecqx.tasks.registry import Registry

_REGISTRY = Registry(__name__, Path(__file__).parent)


def kinds() -> list[str]:
    """Names of all kinds, sorted."""
    return _REGISTRY.names()


def keys(kind: str) -> dict[str, bool]:
    """The keys that a mapping of this kind takes beside ``kind``, and whether it needs them.

    Raises
    ------
    ValueError : no kind of that name is known.
    """
    fields = dataclasses.fields(_REGISTRY.get(kind).Source)
    return {field.name: field.default is dataclasses.MISSING for field in fields}


def describe(entry: Mapping[str, Any]) -> Source:
    """What a mapping describes.

    Parameters
    ----------
    entry : mapping, ``kind`` and the keys of that kind.

    Raises
    ------
    ValueError : a key is missing, unknown, or has a value that it cannot have. The message starts
        with the key.
    """
    options = {key: value for key, value in entry.items() if key != "kind"}
    if entry.get("kind") not in kinds():
        raise ValueError(f"kind: got {entry.get('kind')!r}, expected one of {', '.join(kinds())}")
    known = keys(entry["kind"])
    for key in options:
        if key not in known:
            raise ValueError(f"{key}: unknown key, expected one of {', '.join(known)}")
    for key, needed in known.items():
        if needed and key not in options:
            raise ValueError(f"{key}: missing, expected {', '.join(k for k in known if known[k])}")
    return _REGISTRY.get(entry["kind"]).Source(**options)
