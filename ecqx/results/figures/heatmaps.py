"""Tables of numbers as coloured cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, Normalize
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
    axis : Axes, cell (i, j) covers j to j + 1 and i to i + 1.
    values : ndarray, shape (rows, columns)
    scale, colors : Normalize, Colormap
    form : callable, value -> text of the cell.
    inches : float, width of the panel.
    """
    # seaborn brings pyplot along: half a second that other figures need not pay
    import seaborn

    rows, columns = values.shape
    known = np.isfinite(values)
    texts = np.array([[form(value) if np.isfinite(value) else "" for value in row]
                      for row in values], dtype=object)  # fmt: skip
    widest = max((text_width(text, style.NOTE_FONT_SIZE) for text in texts.flat), default=0.0)
    seaborn.heatmap(
        values,
        ax=axis,
        mask=~known,
        norm=scale,
        cmap=colors,
        annot=texts if 1.15 * widest <= inches / max(columns, 1) else False,
        fmt="",
        annot_kws={"fontsize": style.NOTE_FONT_SIZE},
        cbar=False,
        linewidths=0.4,
        linecolor="white",
        xticklabels=False,
        yticklabels=False,
    )
    axis.set(xlim=(0, columns), ylim=(rows, 0))
    axis.grid(False)
    axis.spines[:].set_visible(False)
    for i, j in np.argwhere(~known):
        axis.add_patch(
            Rectangle((j, i), 1, 1, facecolor="0.95", edgecolor="0.6", hatch="////", lw=0)
        )


def color_bar(axis: Axes, scale: Normalize, colors: str = "cividis", label: str = "") -> None:
    """The scale of the colours, drawn into a narrow panel of its own."""
    bar = Colorbar(axis, ScalarMappable(scale, colors), label=label)
    bar.outline.set_linewidth(0.4)
    axis.tick_params(labelsize=style.NOTE_FONT_SIZE)
    axis.yaxis.get_major_locator().set_params(nbins=3)
