"""Plug-ins found by file name: a new file in the package is a new entry, nothing else is edited."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any


class Registry:
    """The public modules of one package, by name, and what is registered beside them.

    Parameters
    ----------
    package : str, its dotted name; messages call an entry by its last part, without the plural's s.
    folder : Path, where its files are.
    """

    def __init__(self, package: str, folder: Path) -> None:
        self._package, self._folder = package, folder
        self._kind = package.rpartition(".")[2].removesuffix("s").replace("_", " ")
        self._registered: dict[str, Any] = {}

    def names(self) -> list[str]:
        """Sorted names of the files, without importing any of them.

        Listing must stay cheap: the workflow validates its configuration against it while it plans.
        """
        found = (module.name for module in pkgutil.iter_modules([str(self._folder)]))
        return sorted(name for name in found if not name.startswith("_"))

    def get(self, name: str) -> Any:
        """What was registered under ``name``, else the module of that name.

        Raises
        ------
        ValueError : there is neither; the message lists the known names.
        """
        if name in self._registered:
            return self._registered[name]
        known = self.names()
        if name not in known:
            listed = ", ".join(sorted({*known, *self._registered}))
            raise ValueError(f"unknown {self._kind} {name!r}, expected one of: {listed}")
        return importlib.import_module(f"{self._package}.{name}")

    def register(self, name: str, entry: Any) -> None:
        """Let :meth:`get` find an object that has what a module of the package would have.

        For the life of this process; a later entry of the same name takes the place of this one.

        Raises
        ------
        ValueError : a file has this name.
        """
        if name in self.names():
            raise ValueError(f"{self._kind} {name!r} is a file of {self._package} already")
        self._registered[name] = entry
