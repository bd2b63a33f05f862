"""Where the data sets that are read from disk lie, and whether their files are there.

``python -m workflow.data_files ROOT NAME...`` prints a JSON object, data set -> what is missing, of
those that miss something in the folder ROOT (none if empty).
"""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ecqx.tasks import datasets

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
    """Whether the file of a data set defines ``missing``; it is not imported for that."""
    tree = ast.parse(path.read_text("utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == "missing" for node in tree.body)


def missing(names: Iterable[str], root: Path | None) -> dict[str, str]:
    """What ``missing(root)`` of each data set's module says, for those where it says anything.

    A module that cannot be imported misses something too: its error is what is said.
    """
    found = {}
    for name in names:
        try:
            reason = datasets.get(name).missing(root)
        except Exception as error:  # whatever a module raises, the user needs one line of it
            reason = f"{type(error).__name__}: {error}"
        if reason:
            found[name] = " ".join(reason.split())
    return found


if __name__ == "__main__":
    folder, *asked = sys.argv[1:]
    json.dump(missing(asked, Path(folder) if folder else None), sys.stdout)
