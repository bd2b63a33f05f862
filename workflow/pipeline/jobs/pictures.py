"""Figures as files: how they are called, and their captions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from ecqx.results import style

FORMATS = ("pdf", "png")


def file_name(figure: str, width: str) -> str:
    """Name of a figure's files without suffix: the one for a page bears the figure's own name."""
    return figure if width == "page" else f"{figure}-{width}"


def write(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure in every format; the files that were written."""
    paths = [folder / f"{name}.{suffix}" for suffix in FORMATS]
    for path in paths:
        path.write_bytes(style.render(figure, path.suffix[1:]))
    return paths


def caption(figure: str, text: str, notes: Mapping[str, str]) -> str:
    """A section of captions.md.

    Parameters
    ----------
    figure : the name of the figure.
    text : what it shows, as in the report.
    notes : width -> what is to be said of that figure: n, what the bars are, what is absent.
    """
    lines = [f"## {figure}", "", " ".join(text.split())]
    if len(set(notes.values())) == 1:
        lines += ["", next(iter(notes.values()))]
    else:
        for width, note in notes.items():
            lines += ["", f"*At {width} width:* {note}"]
    return "\n".join(lines) + "\n"
