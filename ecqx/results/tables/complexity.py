"""How complex maps are, before and after compression: on few positions, or spread over all."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecqx.results import metrics, rendering, statistics, style
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.keys import of_task, tasks_of

_MEASURE = ["explainer", "metric", "signed"]
_NETWORK = [*statistics.TASK, *_MEASURE, "method"]
# Networks that are no run, by the name of the anchor.
_ANCHORS = {
    "identical": "Full precision",
    "retrained": "Retrained",
    "random": "Untrained",
}
NOTE = (
    "Complexity of the maps' magnitudes over all evaluated samples: Gini index (0: all positions "
    "have alike, near 1: a few have all) and entropy (the less, the fewer positions). Of a method: "
    "mean over its operating points. Change: minus full precision of the same seed. It is neither "
    "consistency nor correctness: it tells in which way maps change. "
)


def build(collected: Collected) -> pd.DataFrame:
    """Complexity of the maps of full precision, of the anchors, and of each method.

    Returns
    -------
    DataFrame
        dataset, model, explainer, metric, signed, method (or an anchor: identical, retrained,
        random); value and change (against full precision of the same seed), each as ``_mean``,
        ``_half_width`` and ``_n`` over seeds (of a method, means over its points); seeds (of the
        task).

    Raises
    ------
    Unavailable : complexity was not measured.
    """
    known = metrics.complexity()
    measures = collected.measures
    measured = [measure for measure in measures.columns if measure[1] in known]
    anchors = collected.anchors[collected.anchors["metric"].isin(known)]
    if not measured or anchors.empty:
        raise Unavailable("the complexity of maps was not measured")
    keys = [*statistics.TASK, "method", "seed"]
    own = measures[measured].groupby([collected.runs[key] for key in keys], observed=True).mean()
    own.columns = pd.MultiIndex.from_tuples(measured, names=_MEASURE)
    long = own.stack(_MEASURE, future_stack=True).rename("value").reset_index()
    index = [*statistics.TASK, "seed", *_MEASURE]
    fixed = anchors.melt(index, list(_ANCHORS), "method", "value")
    long = pd.concat([fixed, long], ignore_index=True).dropna(subset="value")
    long = long.merge(anchors[[*index, "identical"]], on=index, how="left")
    long["change"] = long["value"] - long.pop("identical")
    table = statistics.aggregate(long, _NETWORK, ["value", "change"])
    table["seeds"] = collected.seeds_of(table)
    order = [*_ANCHORS, *style.method_order(set(table["method"]) - set(_ANCHORS))]
    table["place"] = table["method"].map({name: place for place, name in enumerate(order)})
    table = collected.in_order(table, "explainer", "place", "metric", "signed")
    return table.drop(columns="place")


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: a row per explainer and network, of absolute maps."""
    sections = []
    for task in tasks_of(table):
        rows = of_task(table, task)
        rows = rows[~rows["signed"].astype(bool)]
        names = style.metric_order(rows["metric"].unique())
        headers = ["Explainer", "Network"]
        for name in names:
            headers += [_headed(name), "Change"]
        cells = []
        for (explainer, method), own in rows.groupby(["explainer", "method"], sort=False):
            by_metric = {row["metric"]: row for row in own.to_dict("records")}
            network = _ANCHORS.get(method) or rendering.method_label(method)
            cells.append([style.label(explainer), network])
            for name in names:
                cells[-1] += _cells(by_metric.get(name), method)
        label = style.task_label(*task)
        sections.append(rendering.section(label, headers, cells, names=2, repeated=1))
    return rendering.document("complexity", table, NOTE, sections)


def _headed(metric: str) -> str:
    unit = metrics.measured()[metric].unit
    return style.label(metric) if unit == "1" else f"{style.label(metric)} [{unit}]"


def _cells(row: dict | None, method: str) -> list[str]:
    if row is None:
        return [rendering.EMPTY] * 2
    value, change = (
        tuple(row[f"{name}_{part}"] for part in ("mean", "half_width", "n"))
        for name in ("value", "change")
    )
    shown = rendering.measure(value, 1, 3, seeds=row["seeds"])
    if method == "identical" or not np.isfinite(change[0]):
        return [shown, rendering.EMPTY]
    return [shown, rendering.measure(change, 1, 3, signed=True, seeds=row["seeds"])]
