"""Whether two folders of results hold the same, but for time and what was made of it."""

import csv
import json
from pathlib import Path

_OF_TIME = ("benchmarks", "logs", "receipts", "compressed.json", "evaluated.json", "page.html",
            "provenance.json", "appendix.tex")  # fmt: skip
_COSTS = {"train_s", "peak_memory_bytes"}


def differing(first, second):
    """Files, relative to the folders, that one lacks or that are not the same in both."""
    ours, theirs = _files(Path(first)), _files(Path(second))
    assert ours, f"{first} holds nothing"
    found = set(ours) ^ set(theirs)
    return sorted(
        found | {n for n in set(ours) & set(theirs) if _read(ours[n]) != _read(theirs[n])}
    )


def _files(folder):
    every = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {
        str(name): path
        for name, path in every.items()
        if not {name.parts[0], name.name} & set(_OF_TIME) and "cost" not in name.name
    }


def _read(path):
    if path.name == "run.json":
        return _without(json.loads(path.read_text()))
    if path.name == "runs.csv":
        with open(path, newline="") as file:
            return [_without(row) for row in csv.DictReader(file)]
    return path.read_bytes()


def _without(row):
    return {key: value for key, value in row.items() if key not in _COSTS}
