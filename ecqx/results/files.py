"""Where the collected tables lie in a folder of results, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ecqx.results.keys import POINT

_NAMES = (*POINT, "explainer", "metric", "subset")
_ATTRIBUTION_COLUMNS = [*_NAMES, "seed", "signed", "mean"]


def find(
    folder: str | Path, name: str, suffixes: Sequence[str] = (".csv", ".csv.gz")
) -> Path | None:
    """The collected table ``name`` of a folder: itself or compressed, there or in ``tables/``.

    Returns
    -------
    Path or None
        None if there is no such file.
    """
    folder = Path(folder)
    candidates = [
        place / f"{name}{suffix}" for place in (folder, folder / "tables") for suffix in suffixes
    ]
    return next((path for path in candidates if path.is_file()), None)


def read(path: str | Path) -> pd.DataFrame:
    """A collected table, plain or compressed.

    Raises
    ------
    ValueError : the file is no table.
    """
    return _read(path)


def read_text(path: str | Path) -> pd.DataFrame:
    """A collected table with all values as they are written; undefined ones are empty.

    Raises
    ------
    ValueError : the file is no table.
    """
    return _read(path, dtype=str, keep_default_na=False)


def read_attributions(path: str | Path) -> pd.DataFrame:
    """The measures in attributions.csv, plain or compressed: what identifies them, and ``mean``.

    Names are categories, with which the longest of the tables takes a tenth of the memory.

    Raises
    ------
    ValueError : the file is no table, or lacks one of these columns.
    """
    types = {name: "category" for name in _NAMES}
    return _read(path, usecols=_ATTRIBUTION_COLUMNS, dtype=types)


def _read(path: str | Path, **options) -> pd.DataFrame:
    try:
        # a class may be called NA, or 01
        converters = {} if options.get("dtype") is str else {"class": str}
        return pd.read_csv(path, converters=converters, **options)
    except (ValueError, UnicodeDecodeError, EOFError, OSError) as error:
        # pandas' own errors (an empty file, a missing column, a broken row) are ValueErrors
        raise ValueError(f"{path}: {error}") from error
