"""Why the magnitude of a weight does not tell its relevance."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ecqx.results import statistics, style
from ecqx.results.figures import panels
from ecqx.results.figures.layout import Page, grid_of_blocks
from ecqx.results.keys import of_task, tasks_of

_DECILES = 10
_ACROSS = 3
_KEYS = [*statistics.TASK, "seed", "position", "spearman", "decile", "relevance_share"]
_COLORS = colormaps["viridis"]
_DARKEST, _LIGHTEST = 0.0, 0.85  # of the colour map: its end is too light on white


def relevance_vs_magnitude(relevance: pd.DataFrame, width: str = "page") -> Figure:
    """Relevance of the weights of full-precision networks against their magnitude, per tensor.

    One panel: the share of a tensor's relevance [%] in each decile of its weights by magnitude, a
    line per tensor, coloured by its place in the network; where all weights were equally relevant,
    every decile would hold 10 %. Other panel: Spearman's correlation of magnitude and relevance,
    per tensor, with 95 % t-intervals over seeds.

    Parameters
    ----------
    relevance : DataFrame, as relevance.csv.
    width : {"page", "column"}; tasks side by side, or below each other.
    """
    with style.context():
        statistics.require_columns(relevance, _KEYS, "relevance")
        tasks = tasks_of(relevance)
        if not tasks:
            return panels.nothing(width, "no results of relevance")
        page, pairs = _pairs(width, len(tasks))
        lower_half, counts = [], []
        for index, (shares, correlation) in enumerate(pairs):
            if index >= len(tasks):
                panels.empty_panel(shares, "")
                panels.empty_panel(correlation, "")
                continue
            task = tasks[index]
            here = of_task(relevance, task)
            lower_half.append(_shares(shares, here))
            counts += _correlation(correlation, here)
            first = shares in page.grid[:, 0]
            words = page.fold("Share of relevance [%]", index if width == "column" else 0)
            shares.set_ylabel(words if first else "")
            last = width == "page" or index == len(tasks) - 1
            shares.set_xlabel("Decile of |weight| [–]" if last else "")
            correlation.set_xlabel("Tensor [–]" if last else "")
            if width == "column" or first:
                correlation.set_ylabel("Spearman [–]" if width == "column" else
                                       page.fold("Spearman correlation [–]", 1))  # fmt: skip
            if width == "page":
                page.title(shares, panels.heading(task))
            else:
                page.title_row(index, panels.heading(task))
        lines = [
            Line2D([], [], color=_COLORS(_DARKEST), label="First tensor"),
            Line2D([], [], color=_COLORS((_DARKEST + _LIGHTEST) / 2), label="Middle"),
            Line2D([], [], color=_COLORS(_LIGHTEST), label="Last tensor"),
            Line2D([], [], color="0.4", ls=(0, (2, 1)), lw=0.9, label="Equal shares"),
        ]
        halves = ", ".join(
            f"{low:.0f} to {high:.0f} % ({style.dataset_label(task[0])})"
            for task, (low, high) in zip(tasks, lower_half, strict=True)
        )
        return page.finish(
            {"": lines},
            panels.seeds_note(counts, "correlations", "-1 and 1").replace("bars and bands", "bars"),
            "Shares: mean over seeds.",
            "Decile 10: the largest weights; tensors in the order of the network.",
            f"Share of relevance in the smaller half of the weights, over tensors: {halves}.",
        )


def _pairs(width: str, tasks: int):
    if width == "column":
        page = Page(width, [1.1] * tasks, 2)
        return page, list(page.grid)
    blocks, columns = grid_of_blocks(tasks, _ACROSS)
    page = Page(width, [1.35, 0.9] * blocks, columns)
    return page, [
        (page.grid[2 * (index // columns), index % columns],
         page.grid[2 * (index // columns) + 1, index % columns])
        for index in range(blocks * columns)
    ]  # fmt: skip


def _shares(axis: Axes, rows: pd.DataFrame) -> tuple[float, float]:
    """Draw; the least and the largest share of a tensor's smaller half, per cent."""
    means = statistics.aggregate(rows, ["position", "decile"], ["relevance_share"])
    table = means.pivot(index="position", columns="decile", values="relevance_share_mean") * 100
    table = table.reindex(columns=range(1, _DECILES + 1))
    for place, (_, shares) in zip(_places(len(table)), table.iterrows(), strict=True):
        axis.plot(
            table.columns, shares, color=_COLORS(place), lw=0.9, marker="o", markersize=1.8,
            gid="points",
        )  # fmt: skip
    axis.axhline(100 / _DECILES, color="0.4", ls=(0, (2, 1)), lw=0.9, zorder=1)
    axis.set_xlim(0.6, _DECILES + 0.4)
    axis.set_xticks([1, 4, 7, 10])
    top = panels.limits(table.to_numpy(), least=1.0)[1]
    panels.linear_axis(axis, 0, max(top, 12))
    halves = table.loc[:, : _DECILES // 2].sum(axis=1)
    return float(halves.min()), float(halves.max())


def _correlation(axis: Axes, rows: pd.DataFrame) -> list[int]:
    once = rows.drop_duplicates(["seed", "position"])  # repeated for every decile
    means = statistics.aggregate(once, ["position"], ["spearman"])
    x = np.arange(1, len(means) + 1)
    for at, place, mean, half in zip(
        x, _places(len(means)), means["spearman_mean"], means["spearman_half_width"], strict=True
    ):
        axis.plot([at], [mean], ls="none", marker="o", markersize=3, color=_COLORS(place),
                  gid="points")  # fmt: skip
        panels.bars(axis, [at], [mean], y_half=[half], color=_COLORS(place), y_bounds=(-1.0, 1.0))
    axis.axhline(0, color="0.4", lw=0.6, zorder=1)
    axis.set_xlim(0.4, len(means) + 0.6)
    step = max(1, -(-len(means) // 8))
    axis.set_xticks(range(1, len(means) + 1, step))
    low, high = panels.limits([0, *means["spearman_mean"]], least=0.05)
    panels.linear_axis(axis, low, max(high, 1.0))
    return list(means["spearman_n"])


def _places(count: int) -> np.ndarray:
    return np.linspace(_DARKEST, _LIGHTEST, count) if count > 1 else np.array([_DARKEST])
