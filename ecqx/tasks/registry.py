"""Plug-ins found by file name: a new file in the package is a new entry, nothing else is edited."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType


def module_names(folder: Path) -> list[str]:
    """Sorted names of the public modules in ``folder``, without importing any of them.

    Listing must stay cheap: the workflow validates its configuration against it while it plans.
    """
    found = (module.name for module in pkgutil.iter_modules([str(folder)]))
    return sorted(name for name in found if not name.startswith("_"))


def load_module(package: str, folder: Path, name: str) -> ModuleType:
    """Import the plug-in ``name`` of ``package``.

    Raises
    ------
    ValueError: there is no such file; the message lists the known names.
    """
    known = module_names(folder)
    if name not in known:
        kind = package.rpartition(".")[2].removesuffix("s")
        raise ValueError(f"unknown {kind} {name!r}, known are: {', '.join(known)}")
    return importlib.import_module(f"{package}.{name}")
