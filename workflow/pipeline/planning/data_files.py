"""What the tasks read from disk, where it lies, and whether it is there."""

from __future__ import annotations

import ast
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecqx.tasks import datasets, models
from pipeline import own, receipts

VARIABLE = "ECQX_DATA"
_READ_WHOLE = 2**30  # bytes of own data


def data_root(config: Mapping[str, Any]) -> Path | None:
    """``data_root`` of the configuration, else what the environment names, as an absolute path."""
    named = config.get("data_root") or os.environ.get(VARIABLE)
    return Path(os.path.expanduser(named)).resolve() if named else None


def root_problem(config: Mapping[str, Any]) -> str | None:
    """One line if the folder that the configuration or the environment names does not exist."""
    folder = data_root(config)
    if folder is None or folder.is_dir():
        return None
    key = "data_root" if config.get("data_root") else f"data_root (environment variable {VARIABLE})"
    return f"{key}: got {str(folder)!r}, expected the path of a folder that exists"


def reads_disk(path: Path) -> bool:
    """Whether the file of a data set or model defines ``missing``; it is not imported for that."""
    tree = ast.parse(path.read_text("utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == "missing" for node in tree.body)


def any_read(config: Mapping[str, Any], tasks_folder: Path) -> bool:
    """Whether a task has own data, an own model, or a data set or model that reads files."""
    settings = [config["task_settings"][label] for label in config["tasks"]]
    return any(
        not isinstance(entry := task[key], str) or reads_disk(tasks_folder / f"{key}s/{entry}.py")
        for task in settings
        for key in ("dataset", "model")
    )


def missing(config: Mapping[str, Any], root: Path | None) -> dict[str, str]:
    """Key of the configuration -> what is missing or wrong there, for those where anything is.

    What ``missing(root)`` of data sets and models says. A module that cannot be imported
    misses something too: its error is what is said.
    """
    own.register(config)
    found: dict[str, str] = {}
    asked = set()
    for label, settings in own.tasks(config).items():
        for key, package in (("dataset", datasets), ("model", models)):
            name = settings[key]
            reason = None if (key, name) in asked else _reason(package, name, root)
            asked.add((key, name))
            if reason:
                found[f"task_settings.{label}.{key}"] = " ".join(reason.split())
    return found


def unread(config: Mapping[str, Any], root: Path | None) -> dict[str, str]:
    """Name of own data -> one line on the files there that are not read, where there are any."""
    sources = {name: datasets.get(name) for name in own.described(config, "dataset")}
    lines = {name: source.unread(root) for name, source in sources.items()}
    return {name: line for name, line in lines.items() if line}


def _reason(package: Any, name: str, root: Path | None) -> str | None:
    try:
        module = package.get(name)
        return module.missing(root) if hasattr(module, "missing") else None
    except Exception as error:  # whatever a module raises, the user needs one line of it
        return f"{type(error).__name__}: {error}"


def line(config: Mapping[str, Any], key: str, reason: str) -> str:
    """What is wrong at a key that :func:`missing` names, as one line for the user."""
    _, label, kind = key.split(".")
    entry = config["task_settings"][label][kind]
    # own data and models say what was found and expected themselves
    expected = f"got {entry!r}, expected its files: " if isinstance(entry, str) else ""
    return f"{key}: {expected}{reason}"


@functools.cache
def fingerprint(path: Path) -> str:
    """Changes when a file at or below the path comes, goes or becomes another; empty without any.

    Made of names and contents; of names, sizes and times where there is more than a gigabyte, which
    would take seconds to read at every call.
    """
    if path.is_file():
        files = [path]
    else:
        walked = os.walk(path, followlinks=True)
        files = [Path(top, name) for top, _, names in walked for name in names]
    # a link to nowhere has a state of its own
    states = {file: os.stat(file) if file.exists() else os.lstat(file) for file in sorted(files)}
    small = sum(state.st_size for state in states.values()) <= _READ_WHOLE
    content = [
        [os.path.relpath(file, path), state.st_size]
        + [receipts.file_digest(file) if small else state.st_mtime_ns]
        for file, state in states.items()
    ]
    return receipts.fingerprint(content) if content else ""
