"""The same inputs explained by full precision and by each method at comparable size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from ecqx.results import style
from ecqx.results.figures import panels
from ecqx.results.figures.heatmaps import color_bar
from ecqx.results.figures.layout import Page, wrap
from ecqx.results.keys import tasks_of

_COLORMAP = "RdBu_r"  # red: speaks for the class, blue: against; white is zero
_OUTLINE = "#e89f27"
_SAMPLES_ACROSS = 5  # that a column has room for
_GAP = 0.035  # inches between cells
_BAR = 0.07  # inches, width of the colour bar


def gallery(
    images: np.ndarray,
    reference_maps: np.ndarray,
    selected: pd.DataFrame,
    maps: Mapping[str, np.ndarray],
    explainer: str,
    masks: np.ndarray | None = None,
    row_labels: Sequence[str] | None = None,
    width: str = "page",
) -> Figure:
    """Attribution maps of the same samples: input, full precision, and a run of each method.

    Every map is divided by its own largest absolute value and drawn in a diverging colour map that
    is symmetric around zero: shapes can be compared, magnitudes cannot. Beside the name of a method
    stand size and accuracy of the very run that is shown.

    Parameters
    ----------
    images : ndarray, shape (n, C, H, W); inputs; three channels are drawn as colours, otherwise
        their mean in grey.
    reference_maps : ndarray, shape (n, H, W); signed maps of the full-precision network.
    selected : DataFrame, the rows of one task of :func:`ecqx.results.statistics.matched_runs`.
    maps : mapping of str to ndarray, shape (n, H, W); signed maps per method. A method of
        ``selected`` that is absent here gets empty cells that say so.
    explainer : str, name of the explainer, for the small print.
    masks : ndarray of bool, shape (n, H, W), optional; ground truth, drawn as an outline.
    row_labels : sequence of str, optional; names of the samples, e.g. the class; shape (n,).
    width : {"page", "column"}; a column per network and a row per sample; or a row per network, for
        up to five samples.

    Raises
    ------
    ValueError : ``selected`` holds other than one task, or shapes do not agree.
    """
    images = np.asarray(images, dtype=float)
    if images.ndim != 4 or images.shape[0] == 0:
        raise ValueError(f"images: shape {images.shape}, expected (n, C, H, W), n > 0")
    n, _, image_height, image_width = images.shape
    for name, value in {"reference_maps": reference_maps, "masks": masks, **maps}.items():
        expected = (n, image_height, image_width)
        if value is not None and np.shape(value) != expected:
            raise ValueError(f"{name}: shape {np.shape(value)}, expected {expected}")
    if row_labels is not None and len(row_labels) != n:
        raise ValueError(f"row_labels: {len(row_labels)} names for {n} samples")
    tasks = tasks_of(selected)
    if len(tasks) != 1:
        raise ValueError(f"selected: {len(tasks)} tasks, expected the rows of one")

    with style.context():
        styles = panels.styles_of(selected)
        by_method = selected.set_index("method")
        first = selected.iloc[0]
        strips = [
            ("Input", None),
            (_head("Full precision", first["size_fp32_bytes"], first["accuracy_fp32"]),
             reference_maps),
        ]  # fmt: skip
        for method, look in styles.items():
            run = by_method.loc[method]
            strips.append((_head(look.label, run["size_bytes"], run["accuracy"]), maps.get(method)))
        samples = n if width == "page" else min(n, _SAMPLES_ACROSS)
        # Spectrograms are far from square: their cells are stretched to stay readable.
        ratio = float(np.clip(image_height / image_width, 0.6, 1.6))
        if width == "page":
            page, names = _page_of_columns(len(strips), samples, ratio)
            cells = page.grid[:, :-1].T
        else:
            page, names = _page_of_rows(len(strips), samples, ratio)
            cells = page.grid[:, :-1]
        for (name, column), line in zip(strips, cells, strict=True):
            for i, axis in enumerate(line):
                axis.set(xticks=[], yticks=[])
                axis.grid(False)
                axis.spines[:].set(visible=True, color="0.7", linewidth=0.4)
                mask = None if masks is None else np.asarray(masks[i], dtype=bool)
                if name == "Input":
                    _draw_input(axis, images[i], mask)
                elif column is None:
                    _draw_absent(axis)
                else:
                    _draw_map(axis, np.asarray(column[i], dtype=float), mask)
            names(line[0], name, page)
        if row_labels is not None:
            for name, axis in zip(row_labels, cells[0], strict=False):
                if width == "page":
                    axis.set_ylabel(name, fontsize=style.SMALL_FONT_SIZE)
                else:
                    page.title(axis, name)
        scale = Normalize(-1, 1)
        color_bar(page.stretch(-1), scale, _COLORMAP, "Attribution\n/ its maximum [–]")
        return page.finish(
            None,
            f"{panels.heading(tasks[0])}, {style.label(explainer)}, seed {first['seed']}, n = 1.",
            f"{panels.MATCHED_NOTE} {panels.UNITS_NOTE}",
            "Each map is divided by its own largest |attribution|: shapes compare, magnitudes do "
            "not. Red speaks for the class, blue against it.",
            "Outline: ground-truth mask." if masks is not None else "",
        )


def _page_of_columns(strips: int, samples: int, ratio: float):
    """A column per network, its head above."""
    page = Page("page", [1.0] * samples, [None] * strips + [_BAR], gap=_GAP, aspect=ratio)

    def names(axis: Axes, head: str, page: Page) -> None:
        size = style.NOTE_FONT_SIZE
        lines = [
            wrap(line, page.panel_width, size)
            for line in head.replace("+", "+ ").replace("λ ", "λ\u00a0").split("\n")
        ]
        axis.set_title("\n".join(lines).replace("+ ", "+"), fontsize=size, pad=2.5)

    return page, names


def _page_of_rows(strips: int, samples: int, ratio: float):
    """A row per network, its head on the left."""
    page = Page("column", [1.0] * strips, [None] * samples + [_BAR], gap=_GAP, aspect=ratio)

    def names(axis: Axes, head: str, page: Page) -> None:
        name, *measured = head.split("\n")  # two lines fit beside a spectrogram, three do not
        text = "\n".join([name, ", ".join(measured)]) if measured else name
        axis.text(
            0, 0.5, text, ha="right", va="center", fontsize=style.NOTE_FONT_SIZE, linespacing=1.15,
            transform=axis.transAxes + ScaledTranslation(-4 / 72, 0, axis.figure.dpi_scale_trans),
        )  # fmt: skip

    return page, names


def _head(name: str, size_bytes: float, accuracy: float) -> str:
    between = "\n"
    return f"{name}\n{panels.measured(size_bytes, accuracy, between)}"


def _draw_input(axis: Axes, image: np.ndarray, mask: np.ndarray | None) -> None:
    image = np.moveaxis(image, 0, -1) if image.shape[0] == 3 else image.mean(axis=0)
    low, high = np.nanmin(image), np.nanmax(image)
    axis.imshow((image - low) / ((high - low) or 1.0), cmap="gray", vmin=0, vmax=1, aspect="auto")
    _outline(axis, mask, _OUTLINE)


def _draw_map(axis: Axes, values: np.ndarray, mask: np.ndarray | None) -> None:
    finite = np.isfinite(values)
    largest = np.abs(values[finite]).max(initial=0.0)
    colors = matplotlib.colormaps[_COLORMAP].with_extremes(bad="0.8")
    axis.imshow(
        np.where(finite, values, np.nan) / (largest or 1.0), cmap=colors, vmin=-1, vmax=1,
        aspect="auto",
    )  # fmt: skip
    _outline(axis, mask, "0.2")


def _draw_absent(axis: Axes) -> None:
    axis.set_facecolor("0.95")
    axis.text(
        0.5, 0.5, "none", transform=axis.transAxes, ha="center", va="center", color="0.4",
        fontsize=style.SMALL_FONT_SIZE,
    )  # fmt: skip


def _outline(axis: Axes, mask: np.ndarray | None, color: str) -> None:
    """Outline of the mask; an empty or a full one has none."""
    if mask is not None and mask.any() and not mask.all():
        axis.contour(mask.astype(float), levels=[0.5], colors=[color], linewidths=0.6)
