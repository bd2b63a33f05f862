"""Receipts: what a job made, out of what, and by which recipe.

A recipe is a fingerprint of code and settings. Together with the checksums in its receipt it tells
whether a result is still what it should be, by content alone: a time stamp says nothing, and
results that were copied elsewhere are as good as they were here.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Receipt:
    """What one job made.

    Attributes
    ----------
    recipe : fingerprint of the code and the settings it was made by
    inputs : key of what it was made of -> digest of that, see :meth:`content`
    outputs : file, relative to the folder of results -> SHA-256 of it
    """

    recipe: str
    inputs: dict[str, str]
    outputs: dict[str, str]

    def content(self, names: Iterable[str] | None = None) -> str:
        """Digest of the outputs, or of those whose file name is one of ``names``."""
        chosen = None if names is None else set(names)
        return fingerprint(
            [
                [path, digest]
                for path, digest in sorted(self.outputs.items())
                if chosen is None or path.rpartition("/")[2] in chosen
            ]
        )

    def damaged(self, results: Path) -> list[str]:
        """The outputs that are missing or not what was written."""
        return [
            path
            for path, expected in self.outputs.items()
            if file_digest(results / path) != expected
        ]

    def holds(self, recipe: str, inputs: Mapping[str, str], results: Path) -> bool:
        """Whether making it again, by this recipe and of these inputs, would give the same."""
        same = self.recipe == recipe and self.inputs == dict(inputs)
        return same and not self.damaged(results)


def fingerprint(value: Any) -> str:
    """Sixteen hexadecimal digits for a value that JSON can express."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str | None:
    """SHA-256 of a file's content; None if there is no such file."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def made(recipe: str, inputs: Mapping[str, str], outputs: Iterable[Path], results: Path) -> Receipt:
    """The receipt for files that have just been written below the folder of results.

    Raises
    ------
    FileNotFoundError : when one of them was not written after all
    """
    digests = {}
    for path in outputs:
        digest = file_digest(path)
        if digest is None:
            raise FileNotFoundError(f"{path} was to be written, and is not there")
        digests[path.relative_to(results).as_posix()] = digest
    return Receipt(recipe, dict(inputs), digests)


def write(path: Path, receipt: Receipt) -> None:
    """Write a receipt, the whole of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"recipe": receipt.recipe, "inputs": receipt.inputs, "outputs": receipt.outputs}
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)


def read(path: Path) -> Receipt | None:
    """The receipt in a file; None if there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        receipt = Receipt(content["recipe"], content["inputs"], content["outputs"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = isinstance(receipt.inputs, dict) and isinstance(receipt.outputs, dict)
    return receipt if whole else None
