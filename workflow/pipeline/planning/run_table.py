"""The run table: which points every method has, and how a point is written in a path."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")
Value = int | float | str | bool
Point = dict[str, Value]

LEAST_ANCHOR = 1_000_000  # above all seeds of runs, as the schema of configurations has it

_PATH_SAFE = re.compile(r"[\w.,+-]+", re.ASCII)


def point_name(point: Mapping[str, Value]) -> str:
    """The point as a path component, such as ``bits~4_lam~0.1``; ``default`` for no parameters.

    Parameters
    ----------
    point : parameters in the order of the grid.

    Raises
    ------
    ValueError : a text value holds characters other than letters, digits, ``_``, ``.``, ``,``,
        ``+`` and ``-``, which could not be told apart in a path.
    """
    for parameter, value in point.items():
        if isinstance(value, str) and not _PATH_SAFE.fullmatch(value):
            raise ValueError(
                f"{parameter}: got {value!r}, expected text of letters, digits, "
                "'_', '.', ',', '+', '-'"
            )
    return "_".join(f"{name}~{_text(value)}" for name, value in point.items()) or "default"


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def expand_block(block: Mapping[str, Value | Sequence[Value]]) -> Iterator[Point]:
    """All combinations of the values of one grid block, the last parameter varying fastest."""
    lists = [value if isinstance(value, list) else [value] for value in block.values()]
    for values in itertools.product(*lists):
        yield dict(zip(block, values, strict=True))


def expand_grid(blocks: Sequence[Mapping[str, Value | Sequence[Value]]]) -> dict[str, Point]:
    """The points of one method: name -> parameters, in the order written.

    Parameters
    ----------
    blocks : the method's entry in ``grids``; every block is the cartesian product of its values.

    Raises
    ------
    ValueError : two points are the same parameters (in whatever order), or a value cannot be
        written in a path.
    """
    points: dict[str, Point] = {}
    seen: dict[frozenset, int] = {}
    for index, block in enumerate(blocks):
        for point in expand_block(block):
            name, key = point_name(point), frozenset(point.items())
            if key in seen:
                raise ValueError(
                    f"[{index}]: got the point {name} again (first in block {seen[key]}), "
                    "expected distinct points"
                )
            seen[key] = index
            points[name] = point
    return points


def chunks(points: Sequence[T], size: int) -> list[list[T]]:
    """The points in order, in lists of at most ``size``: one list is one job."""
    return [list(points[start : start + size]) for start in range(0, len(points), size)]


def retrained_seed(seed: int) -> int:
    """Seed of the full-precision network that serves ``seed`` as its "retrained" anchor.

    No run has it, and no two seeds share one: the anchors are independent of the runs and of each
    other.
    """
    return LEAST_ANCHOR + seed
