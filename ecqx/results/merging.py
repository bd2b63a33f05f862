"""Results of several folders as one: tables put together, what both have compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ecqx.results import files, keys, provenance, samples
from ecqx.results.provenance import Provenance

if TYPE_CHECKING:
    import pyarrow as pa

_NETWORK = [*keys.TASK, "seed"]
# What identifies a row of a collected table.
_IDENTITY = {
    "runs": keys.RUN,
    "attributions": [*keys.RUN, "explainer", "metric", "subset", "signed"],
    "gains": [*keys.RUN, "explainer", "network", "map", "signed"],
    "predictions": [*keys.RUN, "class"],
    "layers": [*keys.RUN, "tensor"],
    "relevance": [*_NETWORK, "tensor", "decile"],
    "randomisation": [*_NETWORK, "explainer", "layers_randomised", "layer", "metric", "signed"],
    "skipped": [*keys.TASK, "explainer"],
    "methods": ["method", "parameter"],
}
# What a run took is of its machine: what is known first is kept.
_COSTS = ("train_s", "peak_memory_bytes")
_FULL_PRECISION = ("accuracy_fp32", "accuracy_validation_fp32", "size_fp32_bytes")


@dataclass(frozen=True)
class Part:
    """A folder of results: its tables as text, and where they come from.

    Attributes
    ----------
    folder : Path
    tables : dict of str to DataFrame of str, of :data:`ecqx.results.keys.COLLECTED`; undefined
        values are empty.
    provenance : Provenance
    configurations : list of str, YAML.
    samples : dict of str to Path, the files of single samples, by the names of their tables.
    """

    folder: Path
    tables: dict[str, pd.DataFrame]
    provenance: Provenance
    configurations: list[str]
    samples: dict[str, Path]


@dataclass(frozen=True)
class Merged:
    """Results that were put together.

    Attributes
    ----------
    tables, provenance, configurations : as in :class:`Part`.
    samples : dict of str to list of Path, the files of each part that has any.
    repeated : int, runs that more than one folder has.
    """

    tables: dict[str, pd.DataFrame]
    provenance: Provenance
    configurations: list[str]
    samples: dict[str, list[Path]]
    repeated: int

    def write(self, folder: Path) -> None:
        """Write all of it below ``folder``, as the workflow does."""
        (folder / "tables").mkdir(parents=True, exist_ok=True)
        for name, table in self.tables.items():
            table.to_csv(folder / f"tables/{name}.csv", index=False, lineterminator="\n")
        for name, paths in self.samples.items():
            target = folder / f"tables/{name}.parquet"
            samples.write(target, name, _each_run_once(name, paths))
        self.provenance.write(folder)
        numbered = len(self.configurations) > 1
        for number, text in enumerate(self.configurations, 1):
            name = f"config-{number}.yaml" if numbered else "config.yaml"
            (folder / name).write_text(text, encoding="utf-8")


def read(folder: Path) -> Part:
    """The results of a folder.

    Raises
    ------
    ValueError : it has no runs.csv or no provenance.json, or a file cannot be read.
    """
    if files.find(folder, "runs") is None:
        raise ValueError(f"{folder}: no runs.csv or runs.csv.gz, there or in tables/")
    known = provenance.read(folder)
    if known is None:
        raise ValueError(
            f"{folder}: no {provenance.FILE}, expected one beside tables/: it says by which "
            "version of the benchmark results were made"
        )
    paths = {name: files.find(folder, name) for name in keys.COLLECTED}
    tables = {name: files.read_text(path) for name, path in paths.items() if path is not None}
    for name, table in tables.items():
        keys.require_columns(table, _IDENTITY[name], f"{folder}: {name}")
    sampled = {name: files.find(folder, name, samples.SUFFIXES) for name in samples.SCHEMAS}
    sampled = {name: path for name, path in sampled.items() if path is not None}
    return Part(folder, tables, known, provenance.configurations(folder), sampled)


def merge(parts: Sequence[Part]) -> Merged:
    """All rows of all parts; what several have is taken once.

    Raises
    ------
    ValueError : the parts are of different versions, a full-precision network is another, or a row
        that several have differs in anything but its costs; one line that names the first.
    """
    first = parts[0]
    for part in parts[1:]:
        for name in ("benchmark", "schema"):
            one, other = (getattr(p.provenance, name) for p in (first, part))
            if one != other:
                raise ValueError(
                    f"{part.folder}: {name} version {other}, that of {first.folder} is {one}"
                )
        _same(first, part, "runs", _NETWORK, _FULL_PRECISION)
    repeated = 0
    tables = {}
    for name in keys.COLLECTED:
        having = [part for part in parts if name in part.tables]
        if not having:
            continue
        table = having[0].tables[name]
        for part in having[1:]:
            before = Part(first.folder, {name: table}, first.provenance, [], {})
            own = part.tables[name]
            values = [column for column in own if column in table and column not in _COSTS]
            _same(before, part, name, _IDENTITY[name], values)
            known = pd.MultiIndex.from_frame(table[_IDENTITY[name]])
            new = ~pd.MultiIndex.from_frame(own[_IDENTITY[name]]).isin(known)
            repeated += int((~new).sum()) if name == "runs" else 0
            table = pd.concat([table, own[new]], ignore_index=True).fillna("")
        tables[name] = table
    texts = list(dict.fromkeys(text for part in parts for text in part.configurations))
    sampled = {
        name: [part.samples[name] for part in parts if name in part.samples]
        for name in samples.SCHEMAS
    }
    sampled = {name: paths for name, paths in sampled.items() if paths}
    origins = provenance.merged(part.provenance for part in parts)
    return Merged(tables, origins, texts, sampled, repeated)


def _each_run_once(name: str, paths: Sequence[Path]) -> Iterator[pa.Table]:
    """Samples of each file, without those of runs that one before it has."""
    known = pd.MultiIndex.from_tuples([], names=keys.RUN)
    for path in paths:
        own = samples.without_runs(samples.read(path, name), known)
        yield own
        known = known.append(samples.runs_of(own).unique())


def _same(one: Part, other: Part, name: str, identity: list[str], columns: Sequence[str]) -> None:
    """ValueError unless rows that both parts have hold the same in ``columns``."""
    a, b = (part.tables[name] for part in (one, other))
    columns = [column for column in columns if column not in identity]
    columns = [column for column in columns if column in a and column in b]
    a, b = (table[[*identity, *columns]].drop_duplicates() for table in (a, b))
    both = a.merge(b, on=identity, suffixes=("_a", "_b"))
    for column in columns:
        differ = both[both[f"{column}_a"] != both[f"{column}_b"]]
        if len(differ):
            row = differ.iloc[0]
            raise ValueError(
                f"{name}: {'/'.join(row[identity])}: {column} is {row[f'{column}_a'] or 'empty'} "
                f"in {one.folder} and {row[f'{column}_b'] or 'empty'} in {other.folder}, expected "
                f"the same ({len(differ)} such rows)"
            )
