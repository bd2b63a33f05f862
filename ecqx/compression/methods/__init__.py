"""The methods that are part of the library, one per file, by name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecqx.compression.contract import Method

_CLASSES = {
    "uniform_ptq": "uniform_ptq.UniformPTQ",
    "uniform": "uniform.Uniform",
    "ecq": "ecq.ECQ",
    "ecqx": "ecqx.ECQx",
    "wcam": "combined.UniformWithWCAM",
    "ecq_wcam": "combined.ECQWithWCAM",
    "ecqx_wcam": "combined.ECQxWithWCAM",
    "nncodec": "nncodec.NNCodec",
    "lsq": "lsq.LSQ",
    "lsq_rate": "lsq.RateAwareLSQ",
    "prune": "prune.Prune",
    "prune_random": "prune.PruneRandom",
    "distil": "distil.Distil",
    "prune_structured": "prune_routes.PruneStructured",
    "prune_unstructured": "prune_routes.PruneUnstructured",
    "optq": "obs.OPTQ",
    "cerwu": "obs.CERWU",
    "obs_relevance": "obs.RelevanceOBS",
    "allocate": "allocate.Allocate",
}
NAMES = tuple(_CLASSES)


def get(name: str) -> type[Method]:
    """The class of a method, imported when it is asked for.

    Raises
    ------
    ValueError : there is none of that name; the known names are listed.
    """
    if name not in _CLASSES:
        raise ValueError(f"method: {name!r} is unknown, expected one of {', '.join(NAMES)}")
    module, _, cls = _CLASSES[name].partition(".")
    return getattr(importlib.import_module(f"{__name__}.{module}"), cls)
