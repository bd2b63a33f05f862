"""Where a folder of results comes from: the benchmark's version, and what its runs were made by.

Beside ``tables/`` in a folder of results lie ``provenance.json`` and ``config.yaml``, the effective
configuration; in one that was merged of several, ``config-1.yaml`` and so on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ecqx.results.keys import BENCHMARK_VERSION, SCHEMA_VERSION

FILE = "provenance.json"
_CONFIGURATIONS = "config*.yaml"


@dataclass(frozen=True)
class Provenance:
    """What the runs of a folder were made by.

    Attributes
    ----------
    benchmark, schema : int, see :data:`ecqx.results.keys.BENCHMARK_VERSION` and
        :data:`~ecqx.results.keys.SCHEMA_VERSION`.
    origins : list of dict: ``versions`` (package -> version), ``git`` (the commit, with ``-dirty``
        if files differed from it; None outside of a repository), ``device`` and ``runs``, how many
        runs were made so.
    methods : dict of str to str, method -> what it is, in one line.
    looks : dict of str to dict, method -> ``label`` and ``color``, of those whose file gives them,
        see :func:`ecqx.results.style.register`.
    """

    benchmark: int = BENCHMARK_VERSION
    schema: int = SCHEMA_VERSION
    origins: list[dict[str, Any]] = field(default_factory=list)
    methods: dict[str, str] = field(default_factory=dict)
    looks: dict[str, dict[str, str]] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write it to a folder of results; the path of the file."""
        path = folder / FILE
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        return path


class Described(Protocol):
    """What is said of a method; empty where nothing is."""

    summary: str
    label: str
    color: str


def of_records(
    records: Iterable[Mapping[str, Any]], methods: Mapping[str, Described]
) -> Provenance:
    """The provenance of runs.

    Parameters
    ----------
    records : iterable of mappings, the run.json of each; ``versions``, ``git`` and ``device``.
    methods : method -> what is said of it.
    """
    looks = {
        name: {key: value for key in ("label", "color") if (value := getattr(about, key))}
        for name, about in methods.items()
    }
    origins = [{key: record[key] for key in ("versions", "git", "device")} | {"runs": 1}
               for record in records]  # fmt: skip
    return Provenance(
        origins=_counted(origins),
        methods={name: about.summary for name, about in methods.items()},
        looks={name: look for name, look in looks.items() if look},
    )


def read(folder: str | Path) -> Provenance | None:
    """The provenance of a folder of results; None if it says nothing.

    Raises
    ------
    ValueError : the file is none of these; it is named.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return None
    try:
        return Provenance(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: says nothing of where results come from: {error}") from error


def looks(folder: str | Path) -> dict[str, dict[str, str]]:
    """Labels and colors of the methods of a folder whose files give them."""
    known = read(folder)
    return {} if known is None else known.looks


def configurations(folder: str | Path) -> list[str]:
    """The effective configurations that lie in a folder of results, as YAML."""
    paths = sorted(Path(folder).glob(_CONFIGURATIONS))
    return [path.read_text(encoding="utf-8") for path in paths]


def merged(parts: Iterable[Provenance]) -> Provenance:
    """The provenance of results that are put together, all of one version."""
    parts = list(parts)
    return Provenance(
        benchmark=parts[0].benchmark,
        schema=parts[0].schema,
        origins=_counted(origin for part in parts for origin in part.origins),
        methods={name: text for part in reversed(parts) for name, text in part.methods.items()},
        looks={name: look for part in reversed(parts) for name, look in part.looks.items()},
    )


def _counted(origins: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Equal origins as one, with the runs of all."""
    counts: dict[str, int] = {}
    for origin in origins:
        key = json.dumps({name: origin[name] for name in ("versions", "git", "device")})
        counts[key] = counts.get(key, 0) + origin["runs"]
    return [json.loads(key) | {"runs": count} for key, count in counts.items()]
