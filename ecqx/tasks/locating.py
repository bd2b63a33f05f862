"""Where the paths that a user names lead."""

from __future__ import annotations

from pathlib import Path


def locate(path: str, root: Path | None) -> Path:
    """The path with the data folder ``root`` in front, if it is neither absolute nor below ~.

    Raises
    ------
    ValueError : nothing is there, or the path is relative and there is no data folder.
    """
    found = Path(path).expanduser()
    if not found.is_absolute():
        if root is None:
            raise ValueError(
                f"{path}: is relative to data_root, expected data_root (or the environment "
                "variable ECQX_DATA) to name a folder"
            )
        found = Path(root) / found
    if not found.exists():
        raise ValueError(f"{found}: no such file or folder")
    return found
