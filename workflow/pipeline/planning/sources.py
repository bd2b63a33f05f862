"""Which files of the project a script depends on, read from its import statements."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline import receipts

# Packages of the project -> the folder that they lie in.
PACKAGES = {"ecqx": ".", "pipeline": "workflow"}


def reached(root: Path, *files: str) -> list[str]:
    """The given files and what they import of the project's packages, also through each other.

    Plug-ins that are loaded by name (data sets, models, methods) are not visible in import
    statements: name their files.

    Parameters
    ----------
    root : repository root
    *files : paths below it, or absolute ones

    Returns
    -------
    sorted paths, relative to ``root`` where they lie below it, with forward slashes
    """
    found: set[Path] = set()
    open_files = [root / file for file in files]
    while open_files:
        file = open_files.pop()
        if file not in found:
            found.add(file)
            open_files += _imported(root, file) if file.suffix == ".py" else []
    return sorted(
        (file.relative_to(root) if root in file.parents else file).as_posix() for file in found
    )


@functools.cache
def code(root: Path, *files: str) -> str:
    """Fingerprint of the contents of :func:`reached` files; another time stamp changes nothing."""
    return receipts.fingerprint([[path, _digest(root / path)] for path in reached(root, *files)])


@functools.cache
def _digest(file: Path) -> str | None:
    return receipts.file_digest(file)


@functools.cache
def _imported(root: Path, file: Path) -> list[Path]:
    names = set(_imported_names(ast.parse(file.read_text("utf-8"), str(file))))
    # importing a.b.c runs the __init__ of a and of a.b too
    for name in list(names):
        parts = name.split(".")
        names.update(".".join(parts[:end]) for end in range(1, len(parts)))
    own = (name for name in names if name.partition(".")[0] in PACKAGES)
    return [path for name in sorted(own) for path in _candidates(root, name) if path.is_file()]


def _imported_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            # `from a.b import c`: c may be a module of its own
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _candidates(root: Path, name: str) -> Iterable[Path]:
    parts = name.split(".")
    path = root.joinpath(PACKAGES[parts[0]], *parts)
    return path.with_suffix(".py"), path / "__init__.py"
