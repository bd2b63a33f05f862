"""Sanity checks of explainers: do maps change with the class, and when layers are randomised?

Sources: Adebayo et al. [adebayo2018sanity], Sixt et al. [sixt2020lie], Hedström et al.
[hedstrom2024emprt].
"""

from __future__ import annotations

import pandas as pd

from ecqx.results import rendering, statistics, style
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.keys import of_task, tasks_of

_NEEDED = [*statistics.TASK, "seed", "explainer", "layers_randomised", "layer", "metric", "signed",
           "mean"]  # fmt: skip
_METRICS = {"entropy_rise": "Rise of entropy"}  # what no registry names
NOTE = (
    "Consistency of the maps of the trained network with those of another class (random logit "
    "test), and with those after its layers were initialised anew, one after the other from the "
    "output towards the input (signed maps): after the first layer, after half of them, and after "
    "all. An explainer whose maps stay alike explains the input rather than the network. Rise of "
    "entropy: of the histogram of a map's values, relative to that of the trained network; with "
    "all layers it is the efficient randomisation test, which wants it above 0: without what was "
    "learned a map should be less simple. "
)


def build(collected: Collected) -> pd.DataFrame:
    """Consistency by the number of randomised layers, over seeds.

    Returns
    -------
    DataFrame
        dataset, model, explainer, metric, signed, layers_randomised (0: none, but another class),
        layer (the last one), layers (of the network); mean, half_width, n; seeds (of the task).

    Raises
    ------
    Unavailable : no randomisation was collected.
    """
    rows = collected.randomisation
    if rows is None or rows.empty:
        raise Unavailable("no randomisation of layers was collected")
    statistics.require_columns(rows, _NEEDED, "randomisation")
    keys = [*statistics.TASK, "explainer", "metric", "signed", "layers_randomised", "layer"]
    table = statistics.aggregate(rows, keys, ["mean"])
    table = table.rename(
        columns={"mean_mean": "mean", "mean_half_width": "half_width", "mean_n": "n"}
    )
    layers = table.groupby(statistics.TASK, observed=True)["layers_randomised"].transform("max")
    table.insert(7, "layers", layers)
    table["seeds"] = collected.seeds_of(table)
    return collected.in_order(table, "explainer", "metric", "signed", "layers_randomised")


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: a row per explainer and metric."""
    sections = []
    for task in tasks_of(table):
        rows = of_task(table, task)
        rows = rows[rows["signed"].astype(bool)]
        layers = int(rows["layers"].iloc[0])
        shown = [0] if (rows["layers_randomised"] == 0).any() else []
        shown += sorted({1, -(-layers // 2), layers})
        cells = []
        for (explainer, metric), own in rows.groupby(["explainer", "metric"], sort=False):
            by_layer = own.set_index("layers_randomised")
            cells.append([style.label(explainer), _METRICS.get(metric) or style.label(metric)])
            cells[-1] += [_cell(by_layer, count) for count in shown]
        headers = ["Explainer", "Metric"]
        headers += [f"{count} of {layers} layers" if count else "Another class" for count in shown]
        label = style.task_label(*task)
        sections.append(rendering.section(label, headers, cells, names=2, repeated=1))
    return rendering.document("sanity", table, NOTE, sections)


def _cell(by_layer: pd.DataFrame, count: int) -> str:
    if count not in by_layer.index:
        return rendering.UNDEFINED if count else rendering.EMPTY
    row = by_layer.loc[count]
    interval = row["mean"], row["half_width"], row["n"]
    return rendering.measure(interval, 1, 3, seeds=row["seeds"])
