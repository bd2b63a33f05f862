"""How accuracy and size react to one hyper-parameter."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ecqx.results import statistics, style, variants
from ecqx.results.figures import panels
from ecqx.results.figures.layout import Page, grid_of_blocks
from ecqx.results.keys import of_task, parameter_column, parameter_columns, tasks_of

_ACROSS = 3
_QUANTITIES = (
    ("accuracy", 100.0, "Accuracy [%]", panels.PERCENT),
    ("compression_ratio", 1.0, "Compression ratio [–]", panels.POSITIVE),
)
_SCALE = 0.8  # of markers and lines: these panels are small
_LINES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))  # of the other parameters' values


def sensitivity(
    runs: pd.DataFrame,
    parameter: str,
    width: str = "page",
    methods: pd.DataFrame | None = None,
) -> Figure:
    """Test accuracy [%] and compression ratio [log] against a parameter of the methods.

    A line per method and setting of its other parameters, for those that were run with at least
    two values of the parameter. Markers: means over seeds, bars: 95 % t-intervals.

    Parameters
    ----------
    runs : DataFrame, as runs.csv.
    parameter : str, without the ``p_`` of its column.
    width : {"page", "column"}; tasks side by side; or a row per task.
    methods : DataFrame, optional; as methods.csv, for the labels of parameters:
        ``symbol: what it is [unit]``, or words alone. A parameter without a label is called by its
        name.
    """
    with style.context():
        column = parameter_column(parameter)
        labels = variants.labels(methods)
        name = labels.get(parameter, style.words(parameter))
        curves, settings = _curves(runs, column, labels)
        tasks = tasks_of(curves)
        if not tasks:
            return panels.nothing(width, f"no method has two values of {style.words(parameter)}")
        styles = panels.styles_of(curves)
        page, cells = _cells(width, len(tasks))
        counts = []
        for index, pair in enumerate(cells):
            for axis, (quantity, factor, words, bounds) in zip(pair, _QUANTITIES, strict=True):
                if index >= len(tasks):
                    panels.empty_panel(axis, "")
                    continue
                here = of_task(curves, tasks[index])
                counts += _panel(axis, here, column, quantity, factor, bounds, styles, settings)
                if width == "column":
                    axis.set_ylabel(page.fold(words, index))
                elif index % page.grid.shape[1] == 0:
                    axis.set_ylabel(page.fold(words, 0))
                last = index == len(tasks) - 1 if width == "column" else axis is pair[1]
                short = name if width == "page" else _symbol(parameter, labels) + _unit(name)
                axis.set_xlabel(short if last else "")
            if index < len(tasks):
                if width == "page":
                    page.title(pair[0], panels.heading(tasks[index]))
                    pair[0].tick_params(labelbottom=False)
                else:
                    page.title_row(index, panels.heading(tasks[index]))
        methods = panels.method_handles(styles, lines=False)
        named = curves.drop_duplicates([*statistics.POINT, "seed"])
        return page.finish(
            panels.with_others(methods, _setting_handles(settings)),
            panels.seeds_note(counts, cut="the bounds of the quantity"),
            f"{name}." if width == "column" and parameter in labels else "",
            panels.absence_note(named, styles),
        )


def _symbol(parameter: str, labels: dict[str, str]) -> str:
    """What stands before the colon of a parameter's label; without one, its name."""
    symbol, colon, _ = labels.get(parameter, "").partition(":")
    return symbol if colon else style.words(parameter)


def _unit(label: str) -> str:
    """The unit that a label ends in, with its brackets; empty without one."""
    _, bracket, unit = label.rpartition(" [")
    return bracket + unit if bracket else ""


def _curves(
    runs: pd.DataFrame, column: str, labels: dict[str, str]
) -> tuple[pd.DataFrame, dict[str, object]]:
    """Runs of the settings with several values of the parameter, with the ``setting`` they have.

    A setting is what differs, between the runs that are drawn, in parameters other than this one
    and than those that never differ within a method. Second result: setting -> line style.
    """
    if column not in runs:
        return runs.iloc[:0].assign(setting=""), {}
    rows = runs[runs[column].notna()]
    parameters = parameter_columns(rows.columns)
    others = [
        name
        for name in parameters
        if name != column and (rows.groupby("method", observed=True)[name].nunique() > 1).any()
    ]  # fmt: skip
    words = rows[others].apply(
        lambda row: ", ".join(
            f"{_symbol(parameters[name], labels)} {_text(value)}"
            for name, value in row.items()
            if pd.notna(value)
        ),
        axis=1,
    ) if others else pd.Series("", index=rows.index)  # fmt: skip
    rows = rows.assign(setting=words if len(rows) else "")
    several = rows.groupby([*statistics.TASK, "method", "setting"], observed=True)[
        column
    ].transform("nunique")
    rows = rows[several > 1]
    names = sorted(rows["setting"].unique())
    return rows, {name: _LINES[index % len(_LINES)] for index, name in enumerate(names)}


def _text(value) -> str:
    return f"{value:g}" if isinstance(value, float) else style.words(str(value))


def _cells(width: str, tasks: int):
    if width == "column":
        page = Page(width, [1.0] * tasks, 2)
        return page, list(page.grid)
    blocks, columns = grid_of_blocks(tasks, _ACROSS)
    page = Page(width, [1.2, 1.2] * blocks, columns)
    return page, [
        (page.grid[2 * (index // columns), index % columns],
         page.grid[2 * (index // columns) + 1, index % columns])
        for index in range(blocks * columns)
    ]  # fmt: skip


def _panel(
    axis: Axes, rows: pd.DataFrame, column: str, quantity: str, factor: float,
    bounds: tuple[float, float], styles: dict, settings: dict,
) -> list[int]:  # fmt: skip
    ok = rows["status"] == "ok"
    rows = rows.assign(value=rows[quantity].astype(float).where(ok) * factor)
    means = statistics.aggregate(rows, ["method", "setting", column], ["value"])
    values = np.sort(means[column].astype(float).unique())
    for method, look in styles.items():
        for setting, dashes in settings.items():
            own = means[(means["method"] == method) & (means["setting"] == setting)]
            own = own.sort_values(column)
            known = own[own["value_n"] > 0]
            x, y = known[column].astype(float), known["value_mean"]
            axis.plot(x, y, color=look.color, ls=dashes, lw=_SCALE * look.linewidth, zorder=2.1)
            panels.marks(axis, x, y, look, _SCALE)
            panels.bars(axis, x, y, y_half=known["value_half_width"], color=look.color,
                        y_bounds=bounds)  # fmt: skip
            lost = own[own["value_n"] == 0]
            axis.plot(
                lost[column].astype(float), np.full(len(lost), 0.03), ls="none", marker="x",
                markersize=4, color=look.color, transform=axis.get_xaxis_transform(), gid="lost",
            )  # fmt: skip
    if values.size and values.min() > 0 and values.max() / values.min() >= 5:
        panels.log_axis(axis, values)
    else:
        panels.linear_axis(axis, *panels.limits(values, least=0.01), which="x")
    if quantity == "compression_ratio" and (means["value_mean"] > 0).any():
        panels.log_axis(axis, means["value_mean"], which="y")
    else:
        panels.linear_axis(axis, *panels.limits(means["value_mean"], least=0.5))
    return list(means["value_n"])


def _setting_handles(settings: dict) -> list[Line2D]:
    if len(settings) < 2:
        return []
    return [
        Line2D([], [], color="0.35", ls=dashes, lw=0.9, label=setting or "no other parameter")
        for setting, dashes in settings.items()
    ]
