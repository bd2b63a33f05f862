"""Accuracy against consistency of explanations, between methods at equal size."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from ecqx.results import metrics, statistics, style
from ecqx.results.figures import panels
from ecqx.results.figures.consistency import selection
from ecqx.results.figures.layout import Page, grid_of_blocks
from ecqx.results.keys import of_task, tasks_of

_EXPLAINERS = {"page": 3, "column": 1}
_TASKS_ACROSS = 3
_SIZES = 3
_SCALES = (1.15, 0.85, 0.6)  # of markers, from the largest network to the smallest
_ANCHOR = "0.4"
_CLOSEST = 0.005  # distance from the best value of a measure below which its axis is linear
_STEPS = np.array([0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2])  # such distances that are labelled
_CHANGES = np.array([0, 1, 2, 5, 10, 20, 50, 100])  # likewise of accuracy, percentage points
_APART = {"x": 0.16, "y": 0.13}  # share of an axis that its labels are apart at least


def accuracy_vs_consistency(
    runs: pd.DataFrame, attributions: pd.DataFrame, metric: str, width: str = "page"
) -> Figure:
    """Change of test accuracy [points] against consistency with full precision, at equal sizes.

    Each method has a marker at each of three compression ratios, the same for all methods of a
    task, from large to small as the network shrinks: the least, the middle and the highest of the
    ratios at which more than half of the methods have a run within 10 % with every seed. Values are
    read along the front of each seed (:func:`statistics.at_ratios`); markers are means over seeds,
    bars reach from the lowest seed to the highest. Both axes are drawn out near their best values,
    where most networks are, so that everything fits: accuracy is logarithmic in 1 + points lost,
    consistency in its distance from the best value.

    Parameters
    ----------
    runs, attributions : DataFrame, as runs.csv and attributions.csv; all samples, signed maps.
    metric : str
    width : {"page", "column"}; up to three explainers, a row each, and a column per task; or one,
        and a row per task.
    """
    with style.context():
        table, explainers = _read_off(runs, attributions, metric)
        explainers = selection(explainers, _EXPLAINERS[width])
        tasks = tasks_of(runs)
        styles = panels.styles_of(runs)
        if not explainers or not tasks:
            return panels.nothing(width, f"no results of {style.label(metric)}")
        anchors = statistics.anchor_means(attributions)
        across = _TASKS_ACROSS if width == "page" else 1
        blocks, columns = grid_of_blocks(len(tasks), across)
        page = Page(width, [1.35] * (blocks * len(explainers)), columns)
        for axis in page.grid.flat:
            panels.empty_panel(axis, "")
        counts, notes = [], []
        for index, task in enumerate(tasks):
            block, column = divmod(index, columns)
            here = of_task(table, task)
            ratios = _common_ratios(here)
            shown = here[here["ratio"].isin(ratios)]
            if ratios:
                listed = ", ".join(f"{ratio:g}" for ratio in ratios)
                notes.append(f"{style.dataset_label(task[0])}: {listed}")
            for k, explainer in enumerate(explainers):
                axis = page.grid[block * len(explainers) + k, column]
                values = shown.rename(columns={explainer: "consistency"})
                if not np.isfinite(values["consistency"].astype(float)).any():
                    axis.texts[0].set_text("no results of this\nexplainer on this network")
                    continue
                axis.texts[0].remove()
                axis.set_axis_on()
                level = of_task(anchors, task)
                level = level[
                    (level["explainer"] == explainer)
                    & (level["metric"] == metric)
                    & level["signed"].astype(bool)
                ]["retrained"].mean()
                counts += _panel(axis, values, ratios, styles, metric, level)
                if column == 0:
                    axis.set_ylabel("Accuracy change [points]")
                axis.set_xlabel(f"{style.label(metric)} [–]" if explainer == explainers[-1] else "")
                name = style.label(explainer)
                if width == "page" and len(explainers) > 1:
                    name = f"{panels.heading(task)}\n{name}" if k == 0 else name
                else:
                    name = f"{panels.heading(task)}, {name}"
                page.title(axis, name)
        others = [
            Line2D([], [], ls="none", marker="o", color="0.6", markersize=5 * scale, label=words)
            for scale, words in zip(_SCALES, ("Least compressed", "Between", "Most"), strict=True)
        ] + [
            Line2D([], [], color=_ANCHOR, ls=(0, (2, 1)), lw=0.9, label="Retrained network"),
            Line2D([], [], color="0.3", lw=0.9, label="Full precision (FP32)"),
        ]
        missing = _missing(table, tasks, styles)
        return page.finish(
            panels.with_others(panels.method_handles(styles, lines=False), others),
            f"{panels.seeds_text(counts)}; markers: mean over seeds, bars: lowest to highest seed.",
            f"Equal compression ratios: {'; '.join(notes)}." if notes else "",
            f"No run within 10 % of one of them with every seed: {missing}." if missing else "",
            "Fronts are chosen on validation accuracy; test accuracy is shown, against full "
            "precision of the same seed.",
            "Signed maps, all samples of the evaluation subset.",
        )


def _read_off(
    runs: pd.DataFrame, attributions: pd.DataFrame, metric: str
) -> tuple[pd.DataFrame, list[str]]:
    """Accuracy and, in a column per explainer, consistency at common ratios; the explainers.

    Both are known where the method has a run near the ratio.
    """
    measures = statistics.measures_per_run(runs, attributions)
    chosen = [key for key in measures.columns if key[1] == metric and bool(key[2])]
    values = pd.DataFrame({key[0]: measures[key] for key in chosen}, index=measures.index)
    table = statistics.at_ratios(runs, values)
    table.loc[~table["near"], ["accuracy", "accuracy_change", *values.columns]] = np.nan
    return table, style.explainer_order(values.columns)


def _common_ratios(table: pd.DataFrame) -> list[float]:
    """Three ratios, or fewer if there are no three, of those that most methods reach."""
    if table.empty:
        return []
    reached = _reached(table).groupby("ratio").sum()
    enough = reached.index[2 * reached > table["method"].nunique()].to_numpy(float)
    if not enough.size:
        return []
    middle = np.sqrt(enough[0] * enough[-1])
    nearest = enough[np.abs(np.log(enough / middle)).argmin()]
    return sorted({enough[0], nearest, enough[-1]})


def _reached(table: pd.DataFrame) -> pd.Series:
    """(ratio, method) -> whether every seed reaches the ratio."""
    known = table.assign(known=table["accuracy"].notna())
    return known.groupby(["ratio", "method"], observed=True)["known"].all()


def _panel(
    axis: Axes, values: pd.DataFrame, ratios: list[float], styles: dict, metric: str, level: float
) -> list[int]:
    """Draw every method, and the consistency of a retrained network; the counts of seeds."""
    values = values.assign(
        consistency=values["consistency"].astype(float), change=100 * values["accuracy_change"]
    )
    keys = ["method", "ratio"]
    seeds = values.groupby(keys, observed=True)[["consistency", "change"]]
    means, low, high, n = (seeds.agg(how) for how in ("mean", "min", "max", "count"))
    drawn = _reached(values).swaplevel().reindex(means.index) & (n["consistency"] > 0)
    means, low, high, n = (frame[drawn] for frame in (means, low, high, n))
    for method, look in styles.items():
        if method not in means.index.get_level_values("method"):
            continue
        own, down, up = (frame.loc[method] for frame in (means, low, high))
        x, y = own["consistency"], own["change"]
        panels.curve(axis, x, y, look, 0.6)
        panels.bars(
            axis, x, y, [x - down["consistency"], up["consistency"] - x],
            [y - down["change"], up["change"] - y], look.color, alpha=0.35,
        )  # fmt: skip
        for scale, ratio in zip(_SCALES, ratios, strict=False):
            if ratio in own.index:
                panels.marks(axis, [x[ratio]], [y[ratio]], look, scale)
    axis.axhline(0, color="0.3", lw=0.9, zorder=1)
    if np.isfinite(level):
        axis.axvline(level, color=_ANCHOR, ls=(0, (2, 1)), lw=0.9, zorder=1)
    _consistency_axis(axis, metric, [*low["consistency"], *high["consistency"], level])
    _change_axis(axis, [*low["change"], *high["change"], 0.0])
    return list(n["consistency"])


def _consistency_axis(axis: Axes, metric: str, values) -> None:
    """From worse to better, logarithmic in the distance from the best value, if there is a best."""
    downwards = metric in metrics.lower_is_better()
    bounds = metrics.bounds(metric)
    best = bounds[0] if downwards else bounds[1]
    if not np.isfinite(best):
        panels.linear_axis(axis, *panels.limits(values, margin=0.1), which="x", bins=3)
        if downwards:
            axis.invert_xaxis()
        return
    sign = 1 if downwards else -1

    def forward(value):
        distance = np.maximum(sign * (np.asarray(value, dtype=float) - best), 0.0)
        return sign * np.log10(distance + _CLOSEST)

    def inverse(place):
        return best + sign * (10.0 ** (sign * np.asarray(place)) - _CLOSEST)

    _stretched_axis(axis, "x", (forward, inverse), values, best + sign * _STEPS, bounds)
    if downwards:
        axis.invert_xaxis()


def _change_axis(axis: Axes, values) -> None:
    """Logarithmic in 1 + points, both ways from no change."""

    def forward(value):
        value = np.asarray(value, dtype=float)
        return np.sign(value) * np.log10(1 + np.abs(value))

    def inverse(place):
        place = np.asarray(place, dtype=float)
        return np.sign(place) * (10.0 ** np.abs(place) - 1)

    ticks = np.concatenate([-_CHANGES, _CHANGES[1:]])
    _stretched_axis(axis, "y", (forward, inverse), values, ticks, panels.NO_BOUNDS)


def _stretched_axis(axis: Axes, which: str, functions, values, ticks, bounds) -> None:
    """An axis of a scale of its own around all of ``values``, within a margin of ``bounds``.

    Of ``ticks``, the most important first, those are labelled that keep apart.
    """
    forward, inverse = functions
    places = forward(np.asarray(values, dtype=float))
    places = places[np.isfinite(places)]
    margin = 0.07 * max(np.ptp(places), 0.1)
    low, high = places.min() - margin, places.max() + margin
    # a marker on the best value stays whole
    low = max(low, forward(bounds[0]) - margin)
    high = min(high, forward(bounds[1]) + margin)
    kept: list[float] = []
    for tick in ticks:
        place = float(forward(tick))
        if low <= place <= high and all(
            abs(place - forward(other)) >= _APART[which] * (high - low) for other in kept
        ):
            kept.append(float(tick))
    getattr(axis, f"set_{which}scale")("function", functions=functions)
    getattr(axis, f"set_{which}lim")(float(inverse(low)), float(inverse(high)))
    getattr(axis, f"set_{which}ticks")(kept, [f"{tick:g}".replace("-", "−") for tick in kept])
    getattr(axis, f"{which}axis").set_minor_locator(NullLocator())


def _missing(table: pd.DataFrame, tasks: list, styles: dict) -> str:
    """Methods that are absent at a ratio that is shown, by task."""
    found = []
    for task in tasks:
        here = of_task(table, task)
        shown = here[here["ratio"].isin(_common_ratios(here))]
        known = _reached(shown).groupby("method").all() if len(shown) else {}
        lost = [look.label for name, look in styles.items() if not known.get(name, False)]
        if lost and not shown.empty:
            found.append(f"{', '.join(lost)} ({style.dataset_label(task[0])})")
    return "; ".join(found)
