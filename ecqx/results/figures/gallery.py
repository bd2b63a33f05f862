"""The same inputs explained by full precision and by each method at comparable size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ecqx.results import style
from ecqx.results.figures import panels

_COLORMAP = "RdBu_r"  # red: speaks for the class, blue: against; white is zero
_OUTLINE = "#E69F00"


def gallery(
    images: np.ndarray,
    reference_maps: np.ndarray,
    selected: pd.DataFrame,
    maps: Mapping[str, np.ndarray],
    explainer: str,
    masks: np.ndarray | None = None,
    row_labels: Sequence[str] | None = None,
) -> Figure:
    """Attribution maps: a row per sample; columns input, full precision, each method.

    Every map is divided by its own largest absolute value and drawn in a diverging colour map that
    is symmetric around zero: shapes can be compared, magnitudes cannot. A column's head gives size
    and accuracy of the very run that is shown.

    Parameters
    ----------
    images : ndarray, shape (n, C, H, W)
        Inputs; three channels are drawn as colours, otherwise their mean in grey.
    reference_maps : ndarray, shape (n, H, W)
        Signed maps of the full-precision network.
    selected : DataFrame
        The rows of one task of :func:`ecqx.results.statistics.matched_runs`.
    maps : mapping of str to ndarray, shape (n, H, W)
        Signed maps per method. A method of ``selected`` that is absent here gets an empty column
        that says so.
    explainer : str
        Name of the explainer, for the title.
    masks : ndarray of bool, shape (n, H, W), optional
        Ground truth, drawn as an outline.
    row_labels : sequence of str, optional
        Names of the rows, e.g. the class; shape (n,).

    Raises
    ------
    ValueError
        ``selected`` holds other than one task, or shapes do not agree.
    """
    images = np.asarray(images, dtype=float)
    if images.ndim != 4 or images.shape[0] == 0:
        raise ValueError(f"images: shape {images.shape}, expected (n, C, H, W), n > 0")
    n, _, height, width = images.shape
    for name, value in {"reference_maps": reference_maps, "masks": masks, **maps}.items():
        if value is not None and np.shape(value) != (n, height, width):
            raise ValueError(f"{name}: shape {np.shape(value)}, expected {(n, height, width)}")
    if row_labels is not None and len(row_labels) != n:
        raise ValueError(f"row_labels: {len(row_labels)} names for {n} samples")
    tasks = panels.tasks_of(selected)
    if len(tasks) != 1:
        raise ValueError(f"selected: {len(tasks)} tasks, expected the rows of one")

    with style.context():
        styles = style.method_styles(selected["method"])
        by_method = selected.set_index("method")
        first = selected.iloc[0]
        columns = [
            ("Input", None),
            (_head("Full precision", first["size_fp32_bytes"], first["accuracy_fp32"]),
             reference_maps),
        ]  # fmt: skip
        for method, look in styles.items():
            run = by_method.loc[method]
            columns.append(
                (_head(look.label, run["size_bytes"], run["accuracy"]), maps.get(method))
            )
        # Spectrograms are far from square: their cells are stretched to stay readable.
        ratio = float(np.clip(height / width, 0.6, 1.6))
        cell = (style.PAGE_WIDTH - 0.9) / len(columns)  # names of rows and colour bar take the rest
        figure = Figure(figsize=(style.PAGE_WIDTH, n * cell * ratio + 1.15), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.015, h_pad=0.015, wspace=0.0, hspace=0.0)
        grid = figure.subplots(n, len(columns), squeeze=False)
        for j, (head, column) in enumerate(columns):
            for i in range(n):
                axis = grid[i, j]
                axis.set(xticks=[], yticks=[])
                axis.set_box_aspect(ratio)
                axis.grid(False)
                axis.spines[:].set(visible=True, color="0.7", linewidth=0.4)
                mask = None if masks is None else np.asarray(masks[i], dtype=bool)
                if j == 0:
                    _draw_input(axis, images[i], mask)
                elif column is None:
                    _draw_absent(axis)
                else:
                    _draw_map(axis, np.asarray(column[i], dtype=float), mask)
            grid[0, j].set_title(head, fontsize=style.SMALL_FONT_SIZE - 0.5, pad=3)
        if row_labels is not None:
            for i, name in enumerate(row_labels):
                grid[i, 0].set_ylabel(name, fontsize=style.SMALL_FONT_SIZE)
        figure.suptitle(
            f"{style.task_label(*tasks[0])}: {style.label(explainer)}, seed {first['seed']}",
            fontsize=style.FONT_SIZE,
        )
        bar = figure.colorbar(
            ScalarMappable(Normalize(-1, 1), _COLORMAP), ax=grid, shrink=0.7, aspect=30, pad=0.01,
            ticks=[-1, 0, 1],
        )  # fmt: skip
        bar.set_label("Attribution / max |attribution| [–]", fontsize=style.SMALL_FONT_SIZE)
        bar.outline.set_linewidth(0.4)
        panels.note(
            figure,
            "Heads: artefact size (1 kB = 1000 bytes) and test accuracy of the run shown (n = 1).",
            "Each map is normalised by its own maximum of |attribution|; red speaks for the class, "
            "blue against it.",
            "Outline: ground-truth mask." if masks is not None else "",
        )
        return figure


def _head(name: str, size_bytes: float, accuracy: float) -> str:
    lines = [name]
    if np.isfinite(size_bytes) and np.isfinite(accuracy):
        lines += [panels.kilobytes(size_bytes), f"{accuracy * 100:.1f} %"]
    else:
        lines += ["no result", ""]
    return "\n".join(lines)


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
