"""Checksums beside large files, so that one that was cut off or damaged is noticed."""

from __future__ import annotations

import hashlib
from pathlib import Path

SUFFIX = ".sha256"


def write(path: Path) -> None:
    """Write the checksum of a file beside it, as ``sha256sum`` does."""
    _sidecar(path).write_text(f"{_digest(path)}  {path.name}\n", encoding="utf-8")


def intact(path: Path) -> bool:
    """Whether the file is what it was when :func:`write` was called.

    All of it is read, whatever its time says: a copy that was cut off can keep that of the whole.
    """
    sidecar = _sidecar(path)
    if not (path.is_file() and sidecar.is_file()):
        return False
    expected = sidecar.read_text(encoding="utf-8", errors="replace").split()
    return expected[:1] == [_digest(path)]


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
