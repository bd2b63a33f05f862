"""What a table says, and its form as Markdown; as LaTeX see :mod:`ecqx.results.latex`.

Cells are plain text as a reader sees it (``98.41 ± 0.84``, ``–`` for nothing); each form writes it
in its own way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from ecqx.results import style
from ecqx.results.keys import TABLES, TASK, of_task, tasks_of
from ecqx.results.statistics import CONFIDENCE, Interval

EMPTY = "–"
UNDEFINED = "n/a"
ENOUGH_SEEDS = 3
# ~ twice in a name would strike it through, _ twice make it bold
_MARKDOWN_SPECIAL = re.compile(r"[|~*<`]|_(?=_)|(?<=_)_")


@dataclass(frozen=True)
class Section:
    """One table of a document.

    Attributes
    ----------
    title : str
    headers : sequence of str
    rows : list of lists of str, one cell per header
    names : int, how many leading columns hold names and are set to the left; numbers are set to the
        right.
    breaks : set of int, rows before which a new group begins.
    whole : list of lists of str, the rows with the cells that ``rows`` leaves blank because they
        say what the row above says; empty where none does.
    """

    title: str
    headers: Sequence[str]
    rows: list[list[str]]
    names: int
    breaks: frozenset[int] = frozenset()
    whole: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class Document:
    """What one table file says.

    Attributes
    ----------
    name : str, that of the files.
    title : str
    note : str, what the numbers mean, with units, n and how points were chosen.
    sections : list of Section
    """

    name: str
    title: str
    note: str
    sections: list[Section] = field(default_factory=list)


def section(
    title: str, headers: Sequence[str], rows: list[list[str]], names: int, repeated: int = 0
) -> Section:
    """A section in which a new group begins where the first column changes.

    The ``repeated`` leading cells are left blank where they say what the row above says; without
    any there are no groups.
    """
    written, breaks, previous = [], set(), None
    for row in rows:
        same = 0
        while previous is not None and same < repeated and row[same] == previous[same]:
            same += 1
        if repeated and not same:
            breaks.add(len(written))
        written.append([""] * same + row[same:])
        previous = row
    return Section(title, headers, written, names, frozenset(breaks), rows)


def by_task(
    table: pd.DataFrame,
    headers: Sequence[str],
    cells: Callable[[dict], list[str]],
    names: int,
    repeated: int = 0,
) -> list[Section]:
    """A section per task: the ``cells`` of a row per row of the table; see :func:`section`."""
    return [
        section(
            style.task_label(*task),
            headers,
            [cells(row) for row in of_task(table, task).to_dict("records")],
            names,
            repeated,
        )
        for task in tasks_of(table)
    ]


def document(name: str, table: pd.DataFrame, note: str, sections: list[Section]) -> Document:
    """The document of a table with its title, and how to read intervals behind its note.

    Parameters
    ----------
    name : str, of :data:`ecqx.results.keys.TABLES`.
    table : DataFrame, with ``seeds``, how many seeds the task of a row has.
    note, sections : see :class:`Document`.
    """
    seeds = table.groupby(TASK)["seeds"].first()
    return Document(name, TABLES[name], note + interval_note(seeds), sections)


def method_label(method: str) -> str:
    """Readable name of a method."""
    return style.method_styles([method])[method].label


def without_result(row: dict, told: Sequence[str] = ("skipped", "failed")) -> str:
    """The diverged runs of all; in brackets those that ended as ``told``, if there are any."""
    others = [f"{row[status]} {status}" for status in told if row[status]]
    return f"{row['diverged']} of {row['runs']}" + (f" ({', '.join(others)})" if others else "")


def number(value: float, factor: float = 1.0, digits: int = 2, signed: bool = False) -> str:
    """``value`` times ``factor`` with fixed digits; an undefined one is ``n/a``."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    rounded = round(value * factor, digits) + 0.0  # adding 0 takes the sign of -0 away
    return f"{rounded:{'+' if signed and rounded else ''}.{digits}f}"


def measure(
    interval: Interval | tuple[float, float, int],
    factor: float = 1.0,
    digits: int = 2,
    signed: bool = False,
    seeds: int | None = None,
) -> str:
    """Mean ± half width; ``[k of n]`` behind it if only k of ``seeds`` have a value."""
    mean, half_width, n = interval
    if not math.isfinite(mean):
        return UNDEFINED
    missing = f" [{int(n)} of {int(seeds)}]" if seeds is not None and n < seeds else ""
    text = f"{number(mean, factor, digits, signed)} ± {number(half_width, factor, digits)}"
    return text + missing


def ratio(
    interval: tuple[float, float, float],
    factor: float = 1.0,
    digits: int = 1,
    missing: tuple[int, int] | None = None,
) -> str:
    """Geometric mean (low to high); ``[k of n]`` behind it if ``missing``, (k, n), says so."""
    mean, low, high = interval
    if not math.isfinite(mean):
        return UNDEFINED
    text = number(mean, factor, digits)
    if math.isfinite(low):
        text += f" ({number(low, factor, digits)} to {number(high, factor, digits)})"
    else:
        text += f" ({UNDEFINED})"
    return text + (
        f" [{missing[0]} of {missing[1]}]" if missing and missing[0] < missing[1] else ""
    )


def listed(values: Sequence[float]) -> str:
    """Numbers as one cell of a CSV file, separated by spaces; undefined ones are ``nan``."""
    return " ".join(f"{value:.6g}" for value in values)


def braced(values: str, factor: float = 1.0, digits: int = 2, signed: bool = False) -> str:
    """What :func:`listed` wrote, for readers: ``{1.20, 1.31, 1.18}``."""
    return f"{{{', '.join(number(float(v), factor, digits, signed) for v in values.split())}}}"


def p_value(value: float) -> str:
    """A p-value with three digits, ``<0.001`` below."""
    if math.isfinite(value) and value < 0.0005:
        return "<0.001"
    return number(value, digits=3)


def interval_note(seeds: Sequence[int]) -> str:
    """How to read ``±``, with a warning where tasks have too few ``seeds`` (one count per task)."""
    text = (
        f"Mean ± half width of the {CONFIDENCE * 100:.0f} % t-interval over seeds (half width n/a "
        "below two values; [k of n]: only k of n seeds have a value; n/a: none has)."
    )
    few = sorted({int(count) for count in seeds if count < ENOUGH_SEEDS})
    if few:
        text += (
            f" Some tasks have {' or '.join(map(str, few))} seed(s) only: their intervals say "
            "little or nothing."
        )
    return text


def to_markdown(document: Document) -> str:
    """The document as Markdown: what it says, then a heading and a pipe table per section."""
    parts = [f"# {document.title}", document.note]
    for section in document.sections:
        cells = [list(section.headers), *section.rows]
        cells = [[_MARKDOWN_SPECIAL.sub(r"\\\g<0>", cell) for cell in row] for row in cells]
        widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(section.headers))]
        rule = [
            "-" * width if i < section.names else "-" * (width - 1) + ":"
            for i, width in enumerate(widths)
        ]
        lines = [
            f"| {' | '.join(map(str.ljust, row, widths))} |" for row in [cells[0], rule, *cells[1:]]
        ]
        parts += [f"## {section.title}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"
