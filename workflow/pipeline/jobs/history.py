"""How a training went, as a file."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_history(path: str | Path, history: Sequence[Mapping[str, Any]]) -> None:
    """A row per epoch; an empty file where nothing was trained."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        if history:
            writer = csv.DictWriter(file, history[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(history)
