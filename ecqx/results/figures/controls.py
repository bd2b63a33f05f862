"""Does the source of relevance matter to ECQx: LRP against controls, by size and in pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ecqx.results import controls, statistics, style
from ecqx.results.controls import LAM
from ecqx.results.figures import panels
from ecqx.results.figures.layout import Page
from ecqx.results.keys import of_task, tasks_of

_COLUMNS = {"page": 3, "column": 2}
_PALE = 0.25  # opacity of markers at the same λ
_SCALE = 0.75  # of markers and lines: these panels are small
# LRP and ECQ look as the methods they are; further sources take spare looks.
_LOOKS = {
    "lrp": style.MethodStyle("LRP", "#c1180c", "o", 3.6),
    "shuffled": style.MethodStyle("Shuffled LRP", "#8a8a8a", "s", 5.0),
    "magnitude": style.MethodStyle("Magnitude", "#e89f27", "D", 3.4),
    "gradient": style.MethodStyle("Gradient", "#0b70e5", "v", 4.4),
    "fisher": style.MethodStyle("Fisher", "#a974a4", "P", 4.2),
    "constant": style.MethodStyle("Constant", "#0b5b4e", "<", 4.4),
    controls.WITHOUT: style.MethodStyle("None (ECQ)", "#29ad5b", "^", 5.2),
}


def controls_of_relevance(
    runs: pd.DataFrame, differences: pd.DataFrame, width: str = "page"
) -> Figure:
    """ECQx steered by LRP against ECQx steered by each control, and ECQ, which is given none.

    First panel of a task: test accuracy [%] against size [kB, log] of every source. Then, one panel
    per control, the difference in accuracy [points] of LRP to it, at the same λ (pale) and read off
    at the same size (full colour): mean over paired seeds with 95 % t-intervals. Above zero, LRP is
    ahead.

    Parameters
    ----------
    runs : DataFrame, as runs.csv, with the column p_relevance.
    differences : DataFrame, as :func:`controls.paired_differences` returns it for these runs.
    width : {"page", "column"}; three or two panels side by side.
    """
    with style.context():
        compared = runs[runs["method"].isin(["ecq", "ecqx"])]
        sources = _order({"lrp", *differences["against"]})
        tasks = tasks_of(compared)
        per_row = _COLUMNS[width]
        lines = -(-len(sources) // per_row)  # LRP's place is the panel of all sources
        page = Page(width, [1.2] * (lines * len(tasks)), per_row)
        looks = {**style.method_styles(set(sources) - _LOOKS.keys()), **_LOOKS}
        looks = {name: looks[name] for name in sources}
        measures = ("accuracy_difference", "matched_difference")
        for t, task in enumerate(tasks):
            here = of_task(differences, task)
            values = [100 * here[f"{measure}_mean"] for measure in measures]
            span = panels.limits(np.concatenate([*values, [0.0]]), least=0.5)
            for index in range(lines * per_row):
                row, column = divmod(index, per_row)
                axis = page.grid[t * lines + row, column]
                if index >= len(sources):
                    panels.empty_panel(axis, "")
                    continue
                if index == 0:
                    _by_size(axis, of_task(compared, task), looks)
                    page.title(axis, "All sources")
                    axis.set_ylabel("Accuracy [%]")
                    axis.set_xlabel("Size [kB]")
                    continue
                against = sources[index]
                _differences(axis, here[here["against"] == against], looks[against], span)
                page.title(axis, f"LRP − {looks[against].label}")
                if column == 0 or index == 1:
                    axis.set_ylabel("Difference [points]")
                else:
                    axis.tick_params(labelleft=False)
                axis.set_xlabel("λ [–]" if index + per_row >= len(sources) else "")
            page.title_row(t * lines, panels.heading(task))
        others = [_handle(_PALE, "At the same λ"), _handle(1.0, "At the same size")]
        counts = [*differences["accuracy_difference_n"], *differences["matched_difference_n"]]
        comparisons = int((differences[[f"{m}_n" for m in measures]] > 1).to_numpy().sum())
        return page.finish(
            panels.with_others(panels.method_handles(looks, lines=False), others),
            panels.seeds_note(counts).replace("seeds;", "paired seeds;", 1),
            f"Intervals are for single comparisons; {comparisons} are drawn.",
            "Same size: read off the control's front of that seed, where it has a run within 10 %.",
            panels.UNITS_NOTE,
            panels.absence_note(compared, panels.styles_of(compared)),
        )


def _order(sources: set[str]) -> list[str]:
    return [name for name in _LOOKS if name in sources] + sorted(sources - _LOOKS.keys())


def _handle(opacity: float, label: str) -> Line2D:
    return Line2D(
        [], [], ls="none", marker="o", color="0.4", markerfacecolor=("0.4", opacity),
        markeredgewidth=0.8, label=label,
    )  # fmt: skip


def _by_size(axis: Axes, runs: pd.DataFrame, looks: dict) -> None:
    source = runs[controls.SOURCE].where(runs["method"] == "ecqx", controls.WITHOUT)
    ok = runs["status"] == "ok"
    runs = runs.assign(
        source=source,
        x=runs["size_bytes"].astype(float).where(ok) / panels.KILOBYTE,
        y=runs["accuracy"].astype(float).where(ok) * 100,
    )
    means = statistics.aggregate(runs, ["source", "point"], ["x", "y"])
    for name, look in looks.items():
        own = means[means["source"] == name].sort_values("x_mean")
        panels.curve(axis, own["x_mean"], own["y_mean"], look, _SCALE)
        panels.marks(axis, own["x_mean"], own["y_mean"], look, _SCALE)
        panels.bars(axis, own["x_mean"], own["y_mean"], own["x_half_width"], own["y_half_width"],
                    look.color, x_bounds=panels.POSITIVE, y_bounds=panels.PERCENT)  # fmt: skip
    panels.size_axis(axis, means["x_mean"])
    panels.linear_axis(axis, *panels.limits(means["y_mean"], least=0.5))


def _differences(axis: Axes, rows: pd.DataFrame, look: style.MethodStyle, span) -> None:
    several_bits = rows["bits"].nunique() > 1
    places = {lam: index for index, lam in enumerate(sorted(rows[LAM].unique()))}
    axis.axhline(0, color="0.3", lw=0.7, zorder=1)
    offsets = np.linspace(-0.12, 0.12, rows["bits"].nunique()) if several_bits else [0.0]
    for offset, (_, own) in zip(offsets, rows.groupby("bits"), strict=True):
        for measure, opacity, shift in (
            ("accuracy_difference", _PALE, -0.16),
            ("matched_difference", 1.0, 0.16),
        ):
            x = [places[lam] + shift + offset for lam in own[LAM]]
            y, half = 100 * own[f"{measure}_mean"], 100 * own[f"{measure}_half_width"]
            panels.bars(axis, x, y, y_half=half, color=look.color)
            axis.plot(
                x, y, ls="none", marker=look.marker, markersize=3.5, color=look.color,
                markerfacecolor=(look.color, opacity), markeredgewidth=0.7, zorder=3, gid="points",
            )  # fmt: skip
    axis.set_xlim(-0.6, len(places) - 0.4)
    axis.set_xticks(range(len(places)), [f"{lam:g}" for lam in places])
    panels.linear_axis(axis, *span)
