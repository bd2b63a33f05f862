"""Localisation with and without attribution matching, in the layout of the WCAM paper.

Per compression and explainer, the ROC-AUC and the point accuracy.

Source of the layout: WCAM [park2020wcam].

A method ``<name>_wcam`` is ``<name>`` with matching, ``wcam`` is ``uniform`` with it. Runs are
paired by the parameters that both methods have, and by seed.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecqx.results import rendering, statistics, style
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.keys import OVERRIDES, of_task, parameter_columns, tasks_of
from ecqx.results.rendering import method_label
from ecqx.results.variants import method_of

METRICS = {"auc": "ROC-AUC", "pointing_game": "point accuracy"}
_SUFFIX = "wcam"
NOTE = (
    "ROC-AUC of the signed maps against the ground-truth masks, and point accuracy (pointing "
    "game: share of samples whose largest attribution lies on the object), over all evaluated "
    "samples, of full precision and of the compressed network without and with attribution "
    "matching. Both have the same other parameters and the same seed; difference: with minus "
    "without, paired by seed, for single comparisons. Size ratio: with over without. A point that "
    "diverged or failed, on either side, is missing from n. "
)


def pairs(methods) -> dict[str, str]:
    """Method with matching -> the same method without, for those that have both."""
    methods = set(methods)
    found = {}
    for name in methods:
        method = method_of(name)
        base = "uniform" if method == _SUFFIX else method.removesuffix(f"_{_SUFFIX}")
        if base != method and base in map(method_of, methods):
            found[name] = base
    return found


def build(collected: Collected) -> pd.DataFrame:
    """Localisation without and with matching, per task, compression, point and explainer.

    Returns
    -------
    DataFrame
        dataset, model, compression (the method without matching), with_matching (the method), point
        (of the method with matching), explainer; per metric (auc, pointing_game)
        ``<metric>_full``, ``<metric>_without``, ``<metric>_with`` and ``<metric>_difference``, and
        accuracy_without, accuracy_with, accuracy_difference, each as ``_mean``, ``_half_width`` and
        ``_n``; size_ratio as ``_geomean``, ``_low``, ``_high`` and ``_n``; seeds (of the task).

    Raises
    ------
    Unavailable : there are no attributions, no masks, or no method with and without matching.
    """
    runs = collected.runs
    known = pairs(runs["method"])
    if not known:
        raise Unavailable("no method was run both with and without attribution matching")
    measures = collected.measures
    explainers = style.explainer_order(
        {explainer for explainer, metric, signed in measures.columns if metric in METRICS}
    )
    if not explainers:
        raise Unavailable("no task has masks: localisation was not measured")
    parts = []
    for method in style.method_order(known):
        paired = _paired_runs(runs, known[method], method)
        for explainer in explainers:
            part = paired.assign(explainer=explainer)
            for metric in METRICS:
                column = (explainer, metric, True)
                values = (
                    measures[column].to_numpy()
                    if column in measures.columns
                    else np.full(len(runs), np.nan)
                )
                part[f"{metric}_without"] = values[paired["place_without"]]
                part[f"{metric}_with"] = values[paired["place_with"]]
            parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    masked = table[[f"{metric}_{side}" for metric in METRICS for side in ("without", "with")]]
    applies = (
        masked.notna().any(axis=1).groupby([table[key] for key in (*statistics.TASK, "explainer")])
    )
    table = table[applies.transform("any")]
    if table.empty:
        raise Unavailable("no pair of runs has localisation")
    table = _with_full_precision(table, collected.anchors)
    for metric in METRICS:
        table[f"{metric}_difference"] = table[f"{metric}_with"] - table[f"{metric}_without"]
    table["accuracy_difference"] = table["accuracy_with"] - table["accuracy_without"]
    table["size_ratio"] = table["size_bytes_with"] / table["size_bytes_without"]
    keys = [*statistics.TASK, "compression", "with_matching", "order", "point", "explainer"]
    values = [f"{metric}_{side}" for metric in METRICS
              for side in ("full", "without", "with", "difference")]  # fmt: skip
    values += ["accuracy_without", "accuracy_with", "accuracy_difference"]
    result = statistics.aggregate(table, keys, values)
    ratios = statistics.aggregate_ratios(table, keys, ["size_ratio"])
    result = result.merge(ratios, on=keys, validate="one_to_one")
    result["seeds"] = collected.seeds_of(result)
    result = result.rename(columns={"with_matching": "method"})
    result = collected.in_order(result, "method", "order", "explainer")
    return result.rename(columns={"method": "with_matching"}).drop(columns="order")


def _paired_runs(runs: pd.DataFrame, base: str, method: str) -> pd.DataFrame:
    """A row per pair of runs, with their places in ``runs``."""
    runs = runs.assign(place=np.arange(len(runs)))
    for name in ("accuracy", "size_bytes"):
        runs[name] = runs[name].astype(float).where(runs["status"] == "ok")
    without = runs[runs["method"].map(method_of) == base]
    with_ = runs[runs["method"] == method]
    parameters = [
        name
        for name, parameter in parameter_columns(runs.columns).items()
        if parameter in OVERRIDES or (without[name].notna().any() and with_[name].notna().any())
    ]
    # a failed run that lacks its parameters has no counterpart
    without, with_ = (
        side[(side["status"] != "failed") | side[parameters].notna().any(axis=1)]
        for side in (without, with_)
    )
    index = [*statistics.TASK, "seed", *parameters]
    if without.duplicated(index).any():
        twice = without.loc[without.duplicated(index), index].iloc[0].to_dict()
        raise ValueError(f"runs: several of {base} with {twice}, expected one: {method} pairs them")
    columns = [*index, "place", "accuracy", "size_bytes"]
    paired = with_[[*columns, "point"]].merge(
        without[columns], on=index, how="inner", suffixes=("_with", "_without")
    )
    order = {point: place for place, point in enumerate(paired["point"].unique())}
    return paired.assign(compression=base, with_matching=method, order=paired["point"].map(order))


def _with_full_precision(table: pd.DataFrame, anchors: pd.DataFrame) -> pd.DataFrame:
    """``table`` with the localisation of full precision: its maps, compared with themselves."""
    index = [*statistics.TASK, "seed", "explainer"]
    for metric in METRICS:
        own = anchors[(anchors["metric"] == metric) & anchors["signed"].astype(bool)]
        own = own[[*index, "identical"]].rename(columns={"identical": f"{metric}_full"})
        table = table.merge(own, on=index, how="left", validate="many_to_one")
    return table


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task and compression: a row per operating point and explainer."""
    sections = []
    for task in tasks_of(table):
        for method, rows in of_task(table, task).groupby("with_matching", sort=False):
            cells = [_cells(row) for row in rows.to_dict("records")]
            base = method_label(rows["compression"].iloc[0])
            title = f"{style.task_label(*task)}, {base} and {method_label(method)}"
            headers = ["Operating point", "Explainer"]
            for metric in METRICS.values():
                headers += [f"{metric}: full", "without", "with", "difference"]
            headers += ["Accuracy difference [points]", "Size ratio", "n"]
            sections.append(rendering.section(title, headers, cells, names=2, repeated=1))
    return rendering.document("matching", table, NOTE, sections)


def _cells(row: dict) -> list[str]:
    cells = [row["point"], style.label(row["explainer"])]
    for metric in METRICS:
        cells += [
            rendering.number(row[f"{metric}_{side}_mean"], digits=3)
            for side in ("full", "without", "with")
        ]
        difference = f"{metric}_difference"
        interval = tuple(row[f"{difference}_{part}"] for part in ("mean", "half_width", "n"))
        cells.append(rendering.measure(interval, 1, 3, signed=True, seeds=row["seeds"]))
    accuracy = tuple(row[f"accuracy_difference_{part}"] for part in ("mean", "half_width", "n"))
    cells.append(rendering.measure(accuracy, 100, 2, signed=True))
    cells.append(rendering.number(row["size_ratio_geomean"], digits=3))
    cells.append(str(row["accuracy_difference_n"]))
    return cells
