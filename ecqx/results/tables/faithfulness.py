"""Does a network decide by other evidence, or did its map get worse? Gains crossed over both."""

from __future__ import annotations

import pandas as pd

from ecqx.results import rendering, statistics, style
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.gains import by_map
from ecqx.results.keys import ANCHORS, of_task, tasks_of

_MEASURE = ["explainer", "signed"]
_COLUMNS = ["reference", "own", "on_reference", "reference_map", "change", "evidence"]
_LABELS = {"retrained": "Retrained", "random": "Untrained"}
NOTE = (
    "Symmetric relevance gain: area between the curves of the class's probability when positions "
    "are occluded least and most influential first; 0 for a random map. (f, E): full precision by "
    "its own map; (q, E of q): a network by its own; (f, E of q) and (q, E): each by the map of "
    "the other. Change: (q, E of q) minus (f, E); it falls, too, where a network is less sure. Own "
    "evidence: (q, E of q) minus (q, E), both on the same network. Above 0, it decides by evidence "
    "that its own map shows and full precision's does not; below 0, full precision's map tells "
    "better what it decides by than its own, which got worse. Signed maps; of a method, mean over "
    "its operating points; all against full precision of the same seed. No measure of consistency. "
)


def build(collected: Collected) -> pd.DataFrame:
    """Gains of each method, and of the anchors, beside those of full precision.

    Returns
    -------
    DataFrame
        dataset, model, explainer, signed, method (or an anchor: retrained, random); reference (full
        precision by its own map), own, on_reference (full precision by the network's map),
        reference_map (the network by full precision's map), change (own minus reference) and
        evidence (own minus reference_map), each as ``_mean``, ``_half_width`` and ``_n`` over seeds
        (of a method, means over its points); seeds (of the task).

    Raises
    ------
    Unavailable : faithfulness was not measured.
    """
    gains = collected.gains
    if gains is None or gains.empty:
        raise Unavailable("the faithfulness of maps was not measured")
    long = by_map(gains)
    seed = [*statistics.TASK, "seed", *_MEASURE]
    full = long[long["method"] == "identical"].rename(columns={"own": "reference"})
    long = long[long["method"] != "identical"].merge(full[[*seed, "reference"]], on=seed)
    long["change"] = long["own"] - long["reference"]
    long["evidence"] = long["own"] - long["reference_map"]
    per_seed = long.groupby([*seed, "method"], sort=False)[_COLUMNS].mean().reset_index()
    table = statistics.aggregate(per_seed, [*statistics.TASK, *_MEASURE, "method"], _COLUMNS)
    table["seeds"] = collected.seeds_of(table)
    named = style.method_order(set(table["method"]) - set(ANCHORS))
    places = {name: place for place, name in enumerate([*_LABELS, *named])}
    table["place"] = table["method"].map(places)
    return collected.in_order(table, "explainer", "signed", "place").drop(columns="place")


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: a row per explainer and network, by signed maps."""
    headers = ["Explainer", "Network", "(f, E)", "(q, E of q)", "(f, E of q)", "(q, E)",
               "Change", "Own evidence"]  # fmt: skip
    sections = []
    for task in tasks_of(table):
        rows = of_task(table, task)
        cells = [_cells(row) for row in rows[rows["signed"].astype(bool)].to_dict("records")]
        label = style.task_label(*task)
        sections.append(rendering.section(label, headers, cells, names=2, repeated=1))
    return rendering.document("faithfulness", table, NOTE, sections)


def _cells(row: dict) -> list[str]:
    def measure(name: str) -> str:
        interval = tuple(row[f"{name}_{part}"] for part in ("mean", "half_width", "n"))
        return rendering.measure(interval, 1, 3, name in ("change", "evidence"), row["seeds"])

    network = _LABELS.get(row["method"]) or rendering.method_label(row["method"])
    return [style.label(row["explainer"]), network, *(measure(name) for name in _COLUMNS)]
