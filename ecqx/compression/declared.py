"""What the file of a method says of it for readers, found without importing it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

_LONGEST = 30  # characters of a name in legends
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Declared:
    """What a method is called and how it looks.

    Attributes
    ----------
    summary : str, the first line of the file's docstring.
    label : str, the constant ``LABEL``: its name in figures, tables and the page; empty without.
    color : str, the constant ``COLOR``, as ``#rrggbb``; empty without.
    """

    summary: str
    label: str = ""
    color: str = ""


def read(path: Path) -> Declared:
    """What a file declares.

    Raises
    ------
    ValueError : it is no Python, or a constant is not of the right form; one line that names it.
    OSError : there is no such file.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{path}: is no Python: {error}") from error
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in ("LABEL", "COLOR"):
                found[name] = node.value.value if isinstance(node.value, ast.Constant) else None
    label, color = found.get("LABEL", ""), found.get("COLOR", "")
    right = isinstance(label, str) and label.isprintable() and len(label) <= _LONGEST
    if not right or ("LABEL" in found and not label.strip()):
        raise ValueError(
            f"{path}: LABEL: got {label!r}, expected a text of 1 to {_LONGEST} characters"
        )
    if "COLOR" in found and not (isinstance(color, str) and _COLOR.fullmatch(color)):
        raise ValueError(f"{path}: COLOR: got {color!r}, expected a color as '#rrggbb'")
    summary = (ast.get_docstring(tree) or path.stem).partition("\n")[0]
    return Declared(summary, label, color)
