"""Configuration files as they are written, before anything is made of them.

Snakemake reads the files of ``--configfile`` before the Snakefile can say a word: what it cannot
read ends in its own traceback, and of a key that is given twice it takes the last. ``make`` asks
here first, the Snakefile again for what Snakemake could read::

    python -m pipeline.planning.config_files FILE [FILE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

_LARGEST = 1_000_000  # bytes; the largest of config/ has some thousands


def problems(paths: Iterable[str | Path]) -> list[str]:
    """One line per file that is no configuration, and per key that a file gives twice."""
    return [line for path in paths for line in _problems(Path(path))]


def _problems(path: Path) -> Iterator[str]:
    expected = "expected a configuration file (YAML)"
    if path.is_dir() or (path.exists() and not path.is_file()):
        yield f"{path}: is no file, {expected}"
        return
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        yield f"{path}: {error.strerror or error}, {expected} (relative to {Path.cwd()})"
        return
    if len(content) > _LARGEST:
        yield f"{path}: holds more than {_LARGEST:,} bytes, {expected}"
        return
    try:
        root = yaml.compose(content.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        yield f"{path}: is no text in UTF-8 (byte {error.start}), {expected}"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        yield f"{path}{where}: cannot be read as YAML: {error.problem or error.context}"
    except yaml.YAMLError as error:
        yield f"{path}: cannot be read as YAML: {' '.join(str(error).split())}"
    else:
        if isinstance(root, yaml.MappingNode):
            yield from _given_twice(path, root, (), set())
        else:
            yield f"{path}: holds no keys, expected those explained in config/default.yaml"


def _given_twice(path: Path, node: yaml.Node, parts: tuple[str, ...], seen: set[int]):
    if id(node) in seen:  # an alias
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            where = (*parts[:-1], f"{parts[-1]}[{index}]")
            yield from _given_twice(path, item, where, seen)
    elif isinstance(node, yaml.MappingNode):
        first: dict[tuple[str, str], yaml.Node] = {}
        for key, value in node.value:
            below = (*parts, str(key.value))
            other = first.setdefault((key.tag, str(key.value)), key)
            if other is not key:
                yield (
                    f"{path}, line {key.start_mark.line + 1}: {'.'.join(below)}: given again "
                    f"(first in line {other.start_mark.line + 1}), expected each key once"
                )
            yield from _given_twice(path, value, below, seen)


if __name__ == "__main__":
    sys.exit("\n".join(problems(sys.argv[1:])) or None)
