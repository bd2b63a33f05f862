"""Where in a network the zeros and the bits are: sparsity and entropy of every quantized tensor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ecqx.results import statistics, style
from ecqx.results.figures import panels
from ecqx.results.figures.heatmaps import color_bar, fill
from ecqx.results.figures.layout import Page, text_width
from ecqx.results.keys import of_task, tasks_of

_SHARES = "Share of weights"
_GAP = 0.09
_QUANTITIES = (
    ("sparsity", 100.0, "Sparsity [%]", lambda value: f"{value:.0f}"),
    ("entropy_bits", 1.0, "Bits per weight [–]", lambda value: f"{value:.1f}"),
)
_KEYS = [*statistics.RUN, "position", "weights", "sparsity", "entropy_bits"]


def layers(runs: pd.DataFrame, tensors: pd.DataFrame, width: str = "page") -> Figure:
    """Sparsity [%] and entropy [bits per weight] of every tensor, method by method.

    One operating point per method, of like size (:func:`statistics.matched_runs`), mean over its
    seeds. A row per method, with the size and the test accuracy of the point, and a column per
    tensor in the order of the network; below, the share of all weights that is in the tensor. A
    method without a finished run is hatched.

    Parameters
    ----------
    runs : DataFrame, as runs.csv.
    tensors : DataFrame, as layers.csv.
    width : {"page", "column"}; in a column, cells are too narrow for numbers unless there are few
        tensors.
    """
    with style.context():
        statistics.require_columns(tensors, _KEYS, "layers")
        chosen = statistics.matched_runs(runs)
        styles = panels.styles_of(runs)
        tasks = [task for task in tasks_of(runs) if len(of_task(tensors, task))]
        if not tasks:
            return panels.nothing(width, "no results of layers")
        rows = tensors.merge(chosen[statistics.POINT], on=statistics.POINT)
        points = statistics.aggregate_points(runs).merge(
            chosen[statistics.POINT], on=statistics.POINT
        )
        heads = {
            task: _heads(of_task(points, task), styles, " " if width == "page" else "\n")
            for task in tasks
        }
        height = (0.135 if width == "page" else 0.23) * len(styles)
        names = [line for own in heads.values() for head in own for line in head.split("\n")]
        beside = max(text_width(name, style.SMALL_FONT_SIZE) for name in [*names, _SHARES])
        page = Page(width, [height, 0.2] * len(tasks), [None, 0.07] * len(_QUANTITIES),
                    gap=_GAP, beside=beside)  # fmt: skip
        scales = [
            Normalize(0, 100),
            Normalize(0, max(float(rows["entropy_bits"].max()), 0.1) if len(rows) else 1.0),
        ]
        counts = []
        for t, task in enumerate(tasks):
            here = of_task(rows, task)
            everything = of_task(tensors, task)
            for q, (column, factor, words, form) in enumerate(_QUANTITIES):
                upper, left = 2 * t, 2 * q
                axis, below = page.grid[upper, left], page.grid[upper + 1, left]
                counts += _heatmap(page, axis, here, everything, list(styles), column, factor, form,
                                   scales[q])  # fmt: skip
                axis.set_yticks(np.arange(len(styles)) + 0.5, heads[task])
                axis.tick_params(axis="y", length=0, labelleft=left == 0)
                color_bar(page.grid[upper, left + 1], scales[q])
                panels.empty_panel(page.grid[upper + 1, left + 1], "")
                _shares(below, everything, labelled=left == 0)
                if t == 0:
                    page.title(axis, words)
                axis.tick_params(axis="x", labelbottom=False, length=0)
                if t == len(tasks) - 1:
                    below.set_xlabel("Tensor [–]")
            page.title_row(2 * t, panels.heading(task))
        return page.finish(
            None,
            f"{panels.seeds_text(counts)}; values: means over seeds, no intervals.",
            f"{panels.MATCHED_NOTE} {panels.UNITS_NOTE}",
            "Tensors in the order of the network; grey bars: share of all weights that is in the "
            "tensor, the full height is 100 %. Bits per weight: first-order entropy of the levels. "
            "Hatched: no finished run.",
            panels.absence_note(runs, styles),
        )


def _heatmap(
    page: Page, axis: Axes, rows: pd.DataFrame, everything: pd.DataFrame, methods: list[str],
    column: str, factor: float, form: Callable[[float], str], scale: Normalize,
) -> list[int]:  # fmt: skip
    positions = np.sort(everything["position"].unique())
    means = statistics.aggregate(rows, ["method", "position"], [column])
    table = means.pivot(index="method", columns="position", values=f"{column}_mean")
    table = table.reindex(index=methods, columns=positions).to_numpy(float) * factor
    fill(axis, table, scale, colormaps["cividis"], form, page.panel_width)
    return list(means[f"{column}_n"])


def _shares(axis: Axes, everything: pd.DataFrame, labelled: bool) -> None:
    weights = everything.groupby("position")["weights"].first().sort_index()
    share = 100 * weights.to_numpy(float) / weights.sum()
    axis.bar(np.arange(len(share)) + 0.5, share, width=0.8, color="0.6", gid="shares")
    axis.set_xlim(0, len(share))
    axis.set_ylim(0, 100)
    axis.set_yticks([50], [_SHARES])
    axis.grid(False)
    axis.tick_params(axis="y", length=0, labelleft=labelled)
    axis.tick_params(axis="x", length=0)
    step = max(1, -(-len(share) // 12))
    ticks = np.arange(0, len(share), step)
    axis.set_xticks(ticks + 0.5, [f"{tick + 1}" for tick in ticks])


def _heads(points: pd.DataFrame, styles: dict, between: str) -> list[str]:
    """Name, mean size and mean accuracy of every method's point."""
    sizes, accuracies = (
        dict(zip(points["method"], points[f"{name}_mean"], strict=True))
        for name in ("size_bytes", "accuracy")
    )
    return [
        f"{look.label}{between}{panels.measured(sizes.get(name), accuracies.get(name))}"
        for name, look in styles.items()
    ]
