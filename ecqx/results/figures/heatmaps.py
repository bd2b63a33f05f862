"""Tables of numbers as coloured cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, Normalize, to_rgb
from matplotlib.patches import Rectangle

from ecqx.results import style
from ecqx.results.figures.layout import text_width


def fill(
    axis: Axes,
    values: np.ndarray,
    scale: Normalize,
    colors: Colormap,
    form: Callable[[float], str],
    inches: float,
) -> None:
    """A cell per value, row 0 on top; numbers in them where they fit; NaN is hatched.

    Parameters
    ----------
    axis : Axes
        Cell (i, j) covers j to j + 1 and i to i + 1.
    values : ndarray, shape (rows, columns)
    scale, colors : Normalize, Colormap
    form : callable
        Value -> text of the cell.
    inches : float
        Width of the panel.
    """
    rows, columns = values.shape
    axis.pcolormesh(
        np.arange(columns + 1), np.arange(rows + 1), np.ma.masked_invalid(values), norm=scale,
        cmap=colors, edgecolors="white", linewidth=0.4,
    )  # fmt: skip
    axis.set(xlim=(0, columns), ylim=(rows, 0))
    axis.grid(False)
    axis.spines[:].set_visible(False)
    texts = {index: form(value) for index, value in np.ndenumerate(values)
             if np.isfinite(value)}  # fmt: skip
    widest = max((text_width(text, style.NOTE_FONT_SIZE) for text in texts.values()), default=0.0)
    numbers = 1.15 * widest <= inches / max(columns, 1)
    for (i, j), value in np.ndenumerate(values):
        if not np.isfinite(value):
            axis.add_patch(
                Rectangle((j, i), 1, 1, facecolor="0.95", edgecolor="0.6", hatch="////", lw=0)
            )
        elif numbers:
            axis.text(
                j + 0.5, i + 0.5, texts[i, j], ha="center", va="center",
                fontsize=style.NOTE_FONT_SIZE, color=_ink(colors(scale(value))),
            )  # fmt: skip


def color_bar(axis: Axes, scale: Normalize, colors: str = "cividis", label: str = "") -> None:
    """The scale of the colours, drawn into a narrow panel of its own."""
    bar = Colorbar(axis, ScalarMappable(scale, colors), label=label)
    bar.outline.set_linewidth(0.4)
    axis.tick_params(labelsize=style.NOTE_FONT_SIZE)
    axis.yaxis.get_major_locator().set_params(nbins=3)


def _ink(color) -> str:
    """Black on light cells, white on dark ones."""
    red, green, blue = to_rgb(color)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
