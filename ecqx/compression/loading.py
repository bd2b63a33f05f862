"""Methods from files: one baseline, one file, known by its file name."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from ecqx.compression.contract import Method


def load_method(path: Path) -> type[Method]:
    """Class ``Method`` of a baseline file.

    Raises
    ------
    ValueError : the file is missing, raises on import, or has no class ``Method``; one line that
        names the file, and where in it the error arose.
    """
    path = path.resolve()  # as importlib has it in tracebacks
    if not path.is_file():
        raise ValueError(f"{path}: no such baseline file")
    name = f"baselines.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and type hints look their module up by name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        line, trace = "", error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == str(path):
                line = f" (line {trace.tb_lineno})"
            trace = trace.tb_next
        what = f"{type(error).__name__}: {error}".replace("\n", " ")
        raise ValueError(f"{path}: raises on import: {what}{line}") from error
    method = getattr(module, "Method", None)
    if not isinstance(method, type):
        raise ValueError(f"{path}: has no class Method, expected one (see baselines/_template.py)")
    return method
