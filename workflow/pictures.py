"""Figures as files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure

from ecqx.results import style

FORMATS = ("pdf", "png")


def write(figure: Figure, paths: Iterable[str]) -> None:
    """Write a figure to every path, in the format that the path's suffix names."""
    for path in map(Path, paths):
        path.write_bytes(style.render(figure, path.suffix.removeprefix(".")))
