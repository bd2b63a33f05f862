"""Whether the metrics agree on which compression harms explanations."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ecqx.results import statistics, style
from ecqx.results.figures import panels
from ecqx.results.figures.heatmaps import color_bar, fill
from ecqx.results.figures.layout import Page, grid_of_blocks
from ecqx.results.keys import tasks_of
from ecqx.results.metrics import complexity, lower_is_better

_SHORT = {
    "accuracy": "Accuracy",
    "cosine": "Cosine",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "ssim": "SSIM",
    "topk_iou": "Top-10 %",
    "normalised_l2": "Norm. L2",
    "auc": "AUC",
    "pointing_game": "Pointing",
    "relevance_mass": "Mass",
    "relevance_rank": "Rank",
}
_COLORS = "RdBu_r"
_ASPECT = {"page": 0.6, "column": 0.9}  # height over width of a matrix
_LEAST_POINTS = 4  # below it a rank correlation says nothing


def metric_correlations(
    runs: pd.DataFrame, attributions: pd.DataFrame, width: str = "page"
) -> Figure:
    """Spearman's correlation between metrics over operating points.

    Per task and explainer, over operating points (means over seeds; signed maps, all samples);
    metrics where less is better are turned around, so that 1 is agreement. Below the diagonal: the
    mean over explainers, above it: the least of them.

    Parameters
    ----------
    runs, attributions : DataFrame, as runs.csv and attributions.csv. The accuracy of the networks
        is one of the rows.
    width : {"page", "column"}; a matrix per task; or one, over tasks and explainers.
    """
    with style.context():
        correlations, names, counts = correlate(runs, attributions)
        tasks = [t for t in tasks_of(runs) if any(key[0] == t for key in correlations)]
        if not tasks:
            return panels.nothing(width, "too few operating points with attributions")
        if width == "column":
            groups = [("All tasks and explainers", list(correlations.values()))]
        else:
            groups = [
                (panels.heading(task), [c for key, c in correlations.items() if key[0] == task])
                for task in tasks
            ]
        # with more metrics the numbers would not fit into three matrices side by side
        blocks, columns = grid_of_blocks(len(groups), 3 if len(names) <= 8 else 2)
        page = Page(width, [1.0] * blocks, [None] * columns + [0.07], aspect=_ASPECT[width])
        labels = [_SHORT.get(name, name.replace("_", " ")) for name in names]
        scale = Normalize(-1, 1)
        for index in range(blocks * columns):
            row, column = divmod(index, columns)
            axis = page.grid[row, column]
            if index >= len(groups):
                panels.empty_panel(axis, "")
                continue
            title, matrices = groups[index]
            table = _both_triangles(matrices)
            measured = np.flatnonzero(np.isfinite(np.diagonal(table)))
            table = table[np.ix_(measured, measured)]
            fill(axis, table, scale, colormaps[_COLORS], _hundredths, page.panel_width)
            shown = [labels[k] for k in measured]
            axis.set_yticks(np.arange(len(shown)) + 0.5, shown)
            axis.set_xticks(np.arange(len(shown)) + 0.5, shown, rotation=90)
            axis.tick_params(length=0)
            page.title(axis, title)
        color_bar(page.stretch(-1), scale, _COLORS, "Correlation [–]")
        spread = sorted(set(counts))
        points = f"{spread[0]}" if len(spread) == 1 else f"{spread[0]} to {spread[-1]}"
        return page.finish(
            None,
            f"n = {points} operating points per correlation (means over seeds), "
            f"{len(correlations)} pairs of task and explainer.",
            "Lower triangle: mean over explainers, upper: the least of them."
            if width == "page"
            else "Lower triangle: mean over tasks and explainers, upper: the least of them.",
            "Numbers: correlation × 100; metrics where less is better are turned around, so that "
            "100 is the same order. Hatched: undefined.",
        )


def correlate(
    runs: pd.DataFrame, attributions: pd.DataFrame
) -> tuple[dict[tuple, np.ndarray], list[str], list[int]]:
    """Spearman's correlations of consistency, localisation and accuracy, per task and explainer.

    Returns
    -------
    correlations : dict
        (task, explainer) -> array, shape (metrics, metrics); NaN where a metric was not measured
        or is constant. Pairs with fewer than four operating points are left out.
    names : list of str
        The metrics, in order; "accuracy" is the first.
    counts : list of int
        Number of operating points of each.
    """
    statistics.require_columns(runs, [*statistics.RUN, "status", "accuracy"], "runs")
    chosen = attributions[
        (attributions["subset"] == "all")
        & attributions["signed"].astype(bool)
        & ~attributions["method"].isin(statistics.ANCHORS)
        & ~attributions["metric"].isin(complexity())
    ]
    turned = lower_is_better()
    names = ["accuracy", *style.metric_order(chosen["metric"].unique())]
    accuracy = runs[runs["status"] == "ok"].groupby(statistics.POINT, observed=True)["accuracy"]
    accuracy = accuracy.mean().rename("accuracy").reset_index()
    means = (
        chosen.groupby([*statistics.POINT, "explainer", "metric"], observed=True)["mean"]
        .mean()
        .unstack("metric")
        .reset_index()
        .merge(accuracy, on=statistics.POINT, how="inner")
    )
    result, counts = {}, []
    for (dataset, model, explainer), rows in means.groupby(
        [*statistics.TASK, "explainer"], sort=False, observed=True
    ):
        if len(rows) < _LEAST_POINTS:
            continue
        values = rows.reindex(columns=names).astype(float)
        values = values * [-1.0 if name in turned else 1.0 for name in names]
        result[(dataset, model), explainer] = values.corr(
            method="spearman", min_periods=_LEAST_POINTS
        ).to_numpy()
        counts.append(len(rows))
    return result, names, counts


def _hundredths(value: float) -> str:
    return f"{100 * value:.0f}"


def _both_triangles(matrices: list[np.ndarray]) -> np.ndarray:
    stack = np.stack(matrices)
    known = np.isfinite(stack)
    count = known.sum(axis=0)
    total = np.where(known, stack, 0.0).sum(axis=0)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    least = np.where(count > 0, np.where(known, stack, np.inf).min(axis=0), np.nan)
    return np.tril(mean) + np.triu(least, 1)
