"""Composition of a figure: panels of equal width in a grid, a legend above; and its caption.

Everything is placed in inches, from measured texts: panels get the height that was asked for and
the figure grows to hold them, so that nothing overlaps whatever labels turn up. It costs one
measurement of each panel; matplotlib's constrained layout takes two and squeezes panels instead.
What a caption has to say, n, intervals, what is absent, goes with the figure, not into the picture.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from ecqx.results import style

_POINTS = 72  # per inch
_EDGE = 0.03  # inches around everything
_GAP = 0.09  # inches between what belongs to neighboring panels
_LINE = 1.25  # line height over font size
_ROW_TITLE_PAD = 4  # points between a heading over a row and its panels
_HANDLE = 2.2  # length of a legend's line, gap to its text, gap between columns: in font sizes
_HANDLE_GAP = 0.5
_COLUMN_GAP = 1.0
_LEGEND_GAP = 0.04  # inches between groups of the legend


@functools.lru_cache(maxsize=4096)
def text_width(text: str, size: float) -> float:
    """Width in inches of one line of text at a font size in points."""
    font = FontProperties(family=style.RC["font.sans-serif"], size=size)
    # On a grid of dots glyphs are rounded to whole dots: a little more than the outlines take.
    return 1.03 * TextToPath().get_text_width_height_descent(text, font, False)[0] / _POINTS


def wrap(text: str, inches: float, size: float) -> str:
    """``text`` with line breaks at its blanks so that no line is wider than ``inches``.

    A word that is wider by itself stays whole; no line ends at a no-break space.
    """
    lines = []
    for word in text.split(" "):
        if lines and text_width(f"{lines[-1]} {word}", size) <= inches:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)


class Page:
    """A grid of panels on a figure of one of the widths of :data:`style.WIDTHS`.

    Parameters
    ----------
    width : {"page", "column"}
    heights : sequence of float, height of each row of panels, inches.
    columns : int or sequence of (float or None), number of columns of equal width; or a width in
        inches for each, None for those that share what is left.
    gap : float, inches between what belongs to neighboring panels.
    aspect : float, optional; height over width of all panels, instead of ``heights``, of which only
        the number counts.
    beside : float, about how wide the labels left of the first panel will be, inches, for
        ``panel_width``.

    Attributes
    ----------
    figure : Figure
    grid : ndarray of Axes, shape (rows, columns)
    """

    def __init__(
        self,
        width: str,
        heights: Sequence[float],
        columns: int | Sequence[float | None] = 1,
        gap: float = _GAP,
        aspect: float | None = None,
        beside: float = 0.4,
    ) -> None:
        if width not in style.WIDTHS:
            raise ValueError(f"width: {width!r} is none of {', '.join(style.WIDTHS)}")
        self._width = style.WIDTHS[width]
        self._heights = list(heights)
        self._columns = [None] * columns if isinstance(columns, int) else list(columns)
        self._gap = gap
        self._aspect = aspect
        self._row_titles: dict[int, str] = {}
        self._stretched: list[int] = []
        shape = len(self._heights), len(self._columns)
        self.figure = Figure(
            figsize=(self._width, sum(self._heights) + 0.4 * shape[0] + 1),
            dpi=style.DOTS_PER_INCH,  # texts are measured as they will be drawn
        )
        self.grid = self.figure.subplots(*shape, squeeze=False)
        FigureCanvasAgg(self.figure)
        labels = np.full(shape[1], 0.25 if gap >= _GAP else 0.0)  # a guess, measured in `finish`
        labels[0] = beside
        self._place(labels, np.full(shape[1], 0.02), *np.full((2, shape[0]), 0.2))

    @property
    def panel_width(self) -> float:
        """About how wide a panel will be, inches: what headings are wrapped to."""
        return self.grid[0, self._columns.index(None)].get_position().width * self._width

    def title_row(self, row: int, text: str) -> None:
        """A heading over a whole row of panels, from the left edge of its first one."""
        self._row_titles[row] = wrap(text, self._width - 0.6, style.SMALL_FONT_SIZE)

    def stretch(self, column: int) -> Axes:
        """The panel at the top of a column, which will take the place of all of the column."""
        for axis in self.grid[1:, column]:
            axis.set_visible(False)
        self._stretched.append(column % self.grid.shape[1])
        return self.grid[0, column]

    def title(self, axis: Axes, text: str) -> None:
        """A heading over one panel, broken into lines that are no wider than the panel."""
        axis.set_title(
            "\n".join(
                wrap(line, self.panel_width, style.FONT_SIZE) for line in text.split("\n") if line
            )
        )

    def fold(self, text: str, row: int) -> str:
        """``text`` broken into lines that fit beside a row of panels as its vertical label."""
        return wrap(text, self._heights[row] + 0.5 * _GAP, style.FONT_SIZE)

    def finish(self, groups: Mapping[str, Sequence] | None = None, *sentences: str) -> Figure:
        """Place everything: panels, and above them the legend.

        Parameters
        ----------
        groups : mapping of str to sequence of handles, optional; title -> entries of the legend,
            which start in rows of their own. The title of one group may be empty.
        sentences : str, what the caption has to say of this figure, see :func:`note_of`.
        """
        figure = self.figure
        renderer = figure.canvas.get_renderer()
        left, right, below, above = self._overhangs(renderer)
        distances = self._label_distances(renderer)
        for (_, j), axis in np.ndenumerate(self.grid):
            if axis in distances:
                label = axis.yaxis.label.get_window_extent(renderer).width / figure.dpi
                left[j] = max(left[j], distances[axis] + label)
        for row, text in self._row_titles.items():
            lines = text.count("\n") + 1
            above[row] += (lines * _LINE * style.SMALL_FONT_SIZE + _ROW_TITLE_PAD) / _POINTS
        legends = self._legends({t: list(h) for t, h in (groups or {}).items() if len(h)})
        heights = [
            legend.get_window_extent(renderer).height / figure.dpi for _, legend, _ in legends
        ]
        head = sum(heights) + _LEGEND_GAP * (len(heights) - 1) + _GAP if legends else 0.0
        height = self._place(left, right, below, above, head)
        for axis, distance in distances.items():
            axis.yaxis.set_label_coords(-distance / (axis.get_position().width * self._width), 0.5)
        top = height - _EDGE
        for (title, legend, at), own in zip(legends, heights, strict=True):
            legend.set_bbox_to_anchor((at / self._width, top / height), figure.transFigure)
            if title:
                # on the line of the first row of entries
                figure.text(
                    _EDGE / self._width, (top - 0.5 * style.SMALL_FONT_SIZE / _POINTS) / height,
                    title, va="center", ha="left", fontsize=style.SMALL_FONT_SIZE, color="0.25",
                )  # fmt: skip
            top -= own + _LEGEND_GAP
        figure.set_label(" ".join(sentence for sentence in sentences if sentence))
        for row, text in self._row_titles.items():
            box = self.grid[row, 0].get_position()
            figure.text(
                box.x0, box.y1 + above[row] / height, text, va="top", ha="left",
                fontsize=style.SMALL_FONT_SIZE, linespacing=_LINE,
            )  # fmt: skip
        return figure

    def _overhangs(self, renderer) -> tuple[np.ndarray, ...]:
        """Inches that labels reach out of the panels: left, right of columns; below, above rows."""
        rows, columns = self.grid.shape
        left, right = np.zeros(columns), np.zeros(columns)
        below, above = np.zeros(rows), np.zeros(rows)
        dpi = self.figure.dpi
        for (i, j), axis in np.ndenumerate(self.grid):
            if not axis.get_visible() or not axis.axison:
                continue
            inner, outer = axis.get_window_extent(renderer), axis.get_tightbbox(renderer)
            left[j] = max(left[j], (inner.x0 - outer.x0) / dpi)
            right[j] = max(right[j], (outer.x1 - inner.x1) / dpi)
            if j in self._stretched:
                continue
            below[i] = max(below[i], (inner.y0 - outer.y0) / dpi)
            above[i] = max(above[i], (outer.y1 - inner.y1) / dpi)
        if self._stretched:  # the numbers at both of its ends reach out by half a line
            half = 0.5 * _LINE * style.NOTE_FONT_SIZE / _POINTS
            below[-1], above[0] = max(below[-1], half), max(above[0], half)
        return left, right, below, above

    def _label_distances(self, renderer) -> dict[Axes, float]:
        """Inches from a panel to its vertical label: in a column of panels the same for all.

        Where the labels are is known once the panels were measured.
        """
        distances = {}
        for column in self.grid.T:
            labelled = [
                axis
                for axis in column
                if axis.axison and axis.get_ylabel() and axis.yaxis.get_label_position() == "left"
            ]
            reach = [
                axis.get_window_extent(renderer).x0
                - axis.yaxis.label.get_window_extent(renderer).x1
                for axis in labelled
            ]
            distances |= dict.fromkeys(labelled, max(reach, default=0.0) / self.figure.dpi)
        return distances

    def _place(
        self, left: np.ndarray, right: np.ndarray, below: np.ndarray, above: np.ndarray,
        head: float = 0.0,
    ) -> float:  # fmt: skip
        """Set all positions and the figure's size; returns its height, inches."""
        fixed = sum(width for width in self._columns if width is not None)
        shared = self._columns.count(None)
        gaps = self._gap * (len(self._columns) - 1)
        rest = self._width - 2 * _EDGE - gaps - left.sum() - right.sum() - fixed
        widths = [max(rest / shared, 0.2) if width is None else width for width in self._columns]
        rows = len(self._heights)
        if self._aspect is not None:
            self._heights = [self._aspect * max(rest / shared, 0.2)] * rows
        height = (
            2 * _EDGE + head + sum(self._heights) + below.sum() + above.sum()
            + self._gap * (rows - 1)
        )  # fmt: skip
        self.figure.set_size_inches(self._width, height)
        top = height - _EDGE - head
        for i in range(rows):
            bottom = top - above[i] - self._heights[i]
            at = _EDGE
            for j, width in enumerate(widths):
                at += left[j]
                self.grid[i, j].set_position(
                    (at / self._width, bottom / height, width / self._width,
                     self._heights[i] / height)
                )  # fmt: skip
                at += width + right[j] + self._gap
            top = bottom - below[i] - self._gap
        for column in self._stretched:
            top, bottom = (self.grid[i, column].get_position() for i in (0, -1))
            self.grid[0, column].set_position((top.x0, bottom.y0, top.width, top.y1 - bottom.y0))
        return height

    def _legends(self, groups: Mapping[str, Sequence]) -> list[tuple]:
        """(title, legend, inches from the left) of the rows of each group, none placed yet.

        Without a title the entries are centred; with titles they start beside the widest.
        """
        size = style.SMALL_FONT_SIZE
        titles = max((text_width(title, size) for title in groups), default=0.0)
        beside = _EDGE + titles + _COLUMN_GAP * size / _POINTS
        found = []
        for title, handles in groups.items():
            room = self._width - _EDGE - (beside if title else _EDGE)
            for index, (line, columns) in enumerate(_legend_lines(handles, room)):
                legend = self.figure.legend(
                    handles=line,
                    loc="upper left" if title else "upper center",
                    bbox_to_anchor=(0.5, 1.0),
                    ncols=columns,
                    borderpad=0,
                    borderaxespad=0,
                    handlelength=_HANDLE,
                    handletextpad=_HANDLE_GAP,
                    columnspacing=_COLUMN_GAP,
                    labelspacing=0.35,
                )
                at = beside if title else self._width / 2
                found.append(("" if index else title, legend, at))
        return found


def _legend_lines(handles: Sequence, room: float) -> list[tuple[list, int]]:
    """How the entries of a group share out ``room`` inches: parts of them, each with its columns.

    In columns, if that takes no more lines than one entry after the other would.
    """
    size = style.SMALL_FONT_SIZE
    handle, gap = (size * ems / _POINTS for ems in (_HANDLE + _HANDLE_GAP, _COLUMN_GAP))
    widths = [handle + text_width(entry.get_label(), size) + gap for entry in handles]
    lines: list[list] = []
    left = 0.0
    for entry, width in zip(handles, widths, strict=True):
        if not lines or width - gap > left:
            lines.append([])
            left = room
        lines[-1].append(entry)
        left -= width
    columns = math.ceil(len(handles) / len(lines))
    parts = _legend_columns(widths, columns)
    if sum(max(part) for part in parts if part) - gap <= room:
        return [(list(handles), columns)]
    return [(line, len(line)) for line in lines]


def _legend_columns(values: Sequence[float], columns: int) -> list[Sequence[float]]:
    """How matplotlib shares legend entries out to columns: the first ones get one more."""
    least, more = divmod(len(values), columns)
    result, start = [], 0
    for index in range(columns):
        end = start + least + (index < more)
        result.append(values[start:end])
        start = end
    return result


def note_of(figure: Figure) -> str:
    """What the caption has to say of this very figure, as one line; empty if nothing."""
    return str(figure.get_label()).replace("\N{NO-BREAK SPACE}", " ")


def grid_of_blocks(count: int, columns: int) -> tuple[int, int]:
    """Blocks of rows and columns that ``count`` things fill, at most ``columns`` side by side."""
    columns = max(1, min(columns, count))
    return max(1, -(-count // columns)), columns
