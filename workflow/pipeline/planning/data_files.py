"""What the tasks read from disk, where it lies, and whether it is there.

``python -m pipeline.planning.data_files ROOT`` reads a configuration as JSON from its input and
prints a JSON object, key of the configuration -> what is wrong with the data set or the model
there, of those with which something is, in the folder ROOT (none if empty).
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecqx.tasks import datasets, models
from pipeline import own

VARIABLE = "ECQX_DATA"


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


def _reason(package: Any, name: str, root: Path | None) -> str | None:
    try:
        module = package.get(name)
        return module.missing(root) if hasattr(module, "missing") else None
    except Exception as error:  # whatever a module raises, the user needs one line of it
        return f"{type(error).__name__}: {error}"


@functools.cache
def fingerprint(path: Path) -> str:
    """Changes when a file at or below the path comes, goes or is written; empty without any.

    Made of names, sizes and times of change, not of contents. Once a process: there may be many.
    """
    if path.is_file():
        files = [str(path)]
    else:
        files = [
            os.path.join(top, name)
            for top, _, names in os.walk(path, followlinks=True)
            for name in names
        ]
    digest = hashlib.sha256()
    for file in sorted(files):
        # a link to nowhere has a state of its own
        status = os.stat(file) if os.path.exists(file) else os.lstat(file)
        digest.update(
            f"{os.path.relpath(file, path)}\0{status.st_size}\0{status.st_mtime_ns}\0".encode()
        )
    return digest.hexdigest() if files else ""


if __name__ == "__main__":
    folder = sys.argv[1]
    json.dump(missing(json.load(sys.stdin), Path(folder) if folder else None), sys.stdout)
