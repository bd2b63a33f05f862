r"""Documents of tables as LaTeX in the booktabs style: few rows for a column, all for an appendix.

What includes either needs ``\usepackage{booktabs, graphicx}`` and UTF-8 input (the default since
2018).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ecqx.results.rendering import UNDEFINED, Document, Section

_NEEDS = "% needs \\usepackage{booktabs, graphicx}"
_FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
_ROWS_PER_FLOAT = 42  # what fits on a page in \scriptsize with its caption
_MOST_ROWS = 24  # of a table in a column
_COLUMN = 238.0  # points; columns of IEEE, ACM and article are 240 to 252
_CHARACTER, _GAP = 3.9, 6.0  # points of a character in \scriptsize, and between columns
_MINUS = re.compile(r"(?<![\w~.])-(?=\d)")
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
    "≥": r"$\geq$",
    "|": r"$|$",
    "<": r"$<$",
    ">": r"$>$",
    "ε": r"$\varepsilon$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
} | {character: "\\" + character for character in "&%$#_{}"}


@dataclass(frozen=True)
class Brief:
    """What of a document a table in one column says.

    Attributes
    ----------
    caption : str, of at most three lines of a column.
    columns : sequence of str, the headers of the columns that are shown. By default those that fit,
        from the left.
    where : callable, header -> cell of a row, to whether the row is shown; by default all.
    sections : callable, title of a section -> whether it is shown; by default all.
    turned : str, optional; the header of a column whose cells become the headers, of as many rows
        as fit, those with the fewest undefined values; the other columns become the rows.
    """

    caption: str
    columns: Sequence[str] = ()
    where: Callable[[Mapping[str, str]], bool] = lambda row: True
    sections: Callable[[str], bool] = lambda title: True
    turned: str | None = None


def to_column(document: Document, brief: Brief) -> str:
    """The document as one ``table`` that fits a column: few rows of each section.

    Where more rows are wanted than fit, each section gives as many of its first ones.
    """
    chosen = [section for section in document.sections if brief.sections(section.title)]
    if brief.turned is not None:
        chosen = [_turned(section, brief.turned) for section in chosen]
    if not chosen:
        return f"{_NEEDS}\n\n% {document.note}\n"
    kept = []
    for section in chosen:
        places = _places(section, brief.columns)
        rows = [
            [row[place] for place in places]
            for row in section.whole or section.rows
            if brief.where(dict(zip(section.headers, row, strict=True)))
        ]
        names = sum(place < section.names for place in places)
        if rows:
            kept.append((section.title, [section.headers[place] for place in places], rows, names))
    each = max(1, _MOST_ROWS // max(len(kept), 1))
    body: list[str] = []
    previous = None
    for title, headers, rows, _ in kept[:_MOST_ROWS]:
        if headers != previous:
            body += [r"\midrule"] if previous else []
            body += [" & ".join(map(_escape, headers)) + r" \\", r"\midrule"]
        elif len(kept) > 1:
            body.append(r"\addlinespace[2pt]")
        previous = headers
        if len(kept) > 1:
            body.append(rf"\multicolumn{{{len(headers)}}}{{l}}{{\textit{{{_escape(title)}}}}} \\")
        last = None
        for row in rows[:each]:
            shown = ["" if last and row[0] == last else row[0], *row[1:]]
            body.append(" & ".join(map(_escape, shown)) + r" \\")
            last = row[0]
    columns = max((len(headers) for _, headers, _, _ in kept), default=1)
    names = kept[0][3] if kept else 1
    label = f"tab:{_slug(document.name)}"
    text = _float("table", _escape(brief.caption), label, columns, names, body)
    return f"{_NEEDS}\n% all rows, and how to read them: appendix.tex\n\n{text}\n"


def to_appendix(documents: Iterable[Document]) -> str:
    """All rows: what each document says, then a ``table*`` per section, tall ones continued."""
    parts = [_NEEDS]
    for document in documents:
        parts.append(rf"\subsection*{{{_escape(document.title)}}}" + "\n" + _escape(document.note))
        for section in document.sections:
            for start in range(0, len(section.rows), _ROWS_PER_FLOAT) or [0]:
                label = f"tab:all-{_slug(document.name)}-{_slug(section.title)}"
                label += f"-{start // _ROWS_PER_FLOAT + 1}" if start else ""
                title = section.title + (" (continued)" if start else "")
                caption = _escape(f"{document.title}: {title}.")
                parts.append(_whole(section, start, caption, label))
        parts.append(r"\clearpage")  # LaTeX keeps few tables back at a time
    return "\n\n".join(parts) + "\n"


def _places(section: Section, columns: Sequence[str]) -> list[int]:
    """The columns to show: those of these headers, or as many as fit."""
    if columns:
        return [place for place, header in enumerate(section.headers) if header in columns]
    places, used = [], 0.0
    for place, header in enumerate(section.headers):
        cells = [header, *(row[place] for row in section.rows)]
        used += _CHARACTER * max(map(len, cells)) + _GAP
        if places and used > _COLUMN:
            break
        places.append(place)
    return places


def _turned(section: Section, header: str) -> Section:
    """The section with its columns as rows, and of its rows as many as fit, the fullest."""
    place = list(section.headers).index(header)
    # a column with another unit than that of the cells has one in its header
    others = [k for k, name in enumerate(section.headers) if k != place and "[" not in name]
    widest = max((len(row[k]) for row in section.rows for k in others), default=0)
    names = max(len(section.headers[k]) for k in [place, *others])
    room = _COLUMN - _CHARACTER * names - _GAP
    count = min(len(section.rows), max(1, int(room // (_CHARACTER * widest + _GAP))))
    fullest = sorted(section.rows, key=lambda row: sum(row[k] == UNDEFINED for k in others))
    shown = [row for row in section.rows if row in fullest[:count]]
    rows = [[section.headers[k], *(row[k] for row in shown)] for k in others]
    return Section(section.title, [header, *(row[place] for row in shown)], rows, names=1)


def _whole(section: Section, start: int, caption: str, label: str) -> str:
    body = [" & ".join(map(_escape, section.headers)) + r" \\", r"\midrule"]
    for place, row in enumerate(section.rows[start : start + _ROWS_PER_FLOAT], start):
        if place in section.breaks and place > start:
            body.append(r"\addlinespace[2pt]")
        body.append(" & ".join(map(_escape, row)) + r" \\")
    return _float("table*", caption, label, len(section.headers), section.names, body)


def _float(
    kind: str, caption: str, label: str, columns: int, names: int, body: Sequence[str]
) -> str:
    return "\n".join(
        [
            rf"\begin{{{kind}}}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\label{{{label}}}",
            r"\scriptsize",
            r"\setlength{\tabcolsep}{3pt}",
            _FIT,
            rf"\begin{{tabular}}{{{'l' * names + 'r' * (columns - names)}}}",
            r"\toprule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            rf"\end{{{kind}}}",
        ]
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _escape(text: str) -> str:
    """``text`` with the characters that LaTeX reads as commands made literal."""
    pieces = _MINUS.split(text)
    return "$-$".join("".join(_SPECIAL.get(c, c) for c in piece) for piece in pieces)
