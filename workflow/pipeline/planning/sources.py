"""Which files of the project a script depends on, read from its import statements."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline import receipts

# Packages of the project -> the folder that they lie in.
PACKAGES = {"ecqx": ".", "pipeline": "workflow"}
# From these folders the modules of the evaluation are asked what they declare; none of their
# functions is called, so what is imported within them does not matter.
_READ_DECLARATIONS = "ecqx/results/"
_DECLARE = "ecqx/evaluation/"


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
    seen: set[tuple[Path, bool]] = set()
    open_files = [(root / file, True) for file in files]
    while open_files:
        file, called = open_files.pop()
        if (file, called) in seen or (file, True) in seen:
            continue
        seen.add((file, called))
        found.add(file)
        for other in _imported(root, file, called) if file.suffix == ".py" else []:
            declared = file.relative_to(root).as_posix().startswith(_READ_DECLARATIONS) and (
                other.relative_to(root).as_posix().startswith(_DECLARE)
            )
            open_files.append((other, called and not declared))
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
def _imported(root: Path, file: Path, called: bool) -> list[Path]:
    """What a file imports, in functions too if they are ``called``."""
    tree = ast.parse(file.read_text("utf-8"), str(file))
    names = set(_imported_names(ast.walk(tree) if called else tree.body))
    # importing a.b.c runs the __init__ of a and of a.b too
    for name in list(names):
        parts = name.split(".")
        names.update(".".join(parts[:end]) for end in range(1, len(parts)))
    own = (name for name in names if name.partition(".")[0] in PACKAGES)
    return [path for name in sorted(own) for path in _candidates(root, name) if path.is_file()]


def _imported_names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
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
