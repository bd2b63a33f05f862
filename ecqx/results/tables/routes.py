"""The routes of the WCAM paper: what compression does to maps, and what matching keeps of them.

Source of the claims: WCAM [park2020wcam], section 5.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ecqx.results import rendering, statistics, style
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.gains import as_measures
from ecqx.results.keys import OVERRIDES, of_task, parameter_column, tasks_of
from ecqx.results.rendering import method_label
from ecqx.results.variants import method_of

ROUTES = ("distil", "prune_structured", "prune_unstructured")
METRICS = {
    "auc": "ROC-AUC",
    "pointing_game": "point accuracy",
    "pearson": "Pearson",
    "gain": "relevance gain",
}
# The paper's claims are about these; of faithfulness it says nothing.
_CLAIMED = ("auc", "pointing_game", "pearson")
FULL, NONE = "full precision", "none"
# What the paper says: the first, minus the second, is above or below zero.
CLAIMS = {
    (NONE, FULL): "below",
    ("ewa", NONE): "above",
    ("swa", NONE): "above",
    ("swa", "ewa"): "above",
}
OTHER_PAIRS = (
    ("sswa", NONE), ("sswa", "swa"), ("e2kd", NONE), ("e2kd", "swa"), ("swa, equal force", "swa"),
)  # fmt: skip
# What a curve is drawn along: where networks are alike.
ALONG = {"accuracy": "accuracy_validation", "size": "size_bytes"}
LEVEL = 0.05
_MATCHING, _FORCE = map(parameter_column, ("matching", "force"))
# Runs that differ in one of these are not compared.
_SETTING = ("quantizer", "interval", "gamma", "dropped", "layers", "pruned_layers", *OVERRIDES)
NOTE = (
    "Maps of Grad-CAM, or of the first explainer where it was not run; the CSV file has all. First "
    "minus second: ways of matching on one route, without a change of quantizer, interval or "
    "weight; or no matching minus full precision, mean over all operating points. Both are read at "
    "equal accuracy on validation data, or at equal size, along the straight lines through the "
    "runs of a seed, averaged over the range in which both have runs; nothing is extrapolated. "
    "Test data, signed maps. ROC-AUC and point accuracy: against the masks. Pearson: with the maps "
    "of full precision. Relevance gain: see the table of faithfulness. Paper: what it claims. p: "
    "two-sided paired t-test; Holm: adjusted for the "
    "rows with a claim of the same task, explainer, measure and reading. Verdict, of p below 0.05 "
    "alone: reproduced or contradicted, of a claim; above or below, without one; else open, which "
    "is not evidence of no difference. "
)


def build(collected: Collected) -> pd.DataFrame:
    """What matching keeps on each route, per task, explainer, measure and reading.

    Returns
    -------
    DataFrame
        dataset, model, route, matching, other ("full precision" or another matching), explainer,
        measure ("auc", "pointing_game", "pearson", "gain"), at ("points", "accuracy", "size"),
        claim ("above", "below" or empty); difference_mean, difference_half_width, n, seeds (of the
        task),
        values (of the seeds, separated by spaces); p_t, p_t_holm, verdict ("reproduced",
        "contradicted", "above", "below", "open"; empty where nothing could be compared).

    Raises
    ------
    Unavailable : no route was run, or there are no attributions.
    """
    runs = collected.runs
    route = runs["method"].map(method_of)
    if not route.isin(ROUTES).any() or _MATCHING not in runs.columns:
        raise Unavailable("none of the routes of the WCAM paper was run")
    force = runs[_FORCE] if _FORCE in runs.columns else pd.Series("paper", runs.index)
    # a failed run may lack its parameters
    matching = (
        runs[_MATCHING]
        .fillna(NONE)
        .where(force.fillna("paper") == "paper", runs[_MATCHING] + ", equal force")
    )
    runs = runs.assign(route=route, way=matching, place=np.arange(len(runs)))
    runs = runs[route.isin(ROUTES) & (runs["status"] == "ok")]
    measures, anchors = collected.measures, collected.anchors
    if collected.gains is not None and not collected.gains.empty:
        gains = as_measures(collected.gains)
        measures = measures.join(statistics.measures_per_run(collected.runs, gains))
        anchors = pd.concat([anchors, statistics.anchor_means(gains)], ignore_index=True)
    explainers = style.explainer_order(
        {e for e, metric, _ in measures.columns if metric in METRICS}
    )
    rows = []
    for task in tasks_of(runs):
        for name in ROUTES:
            own = of_task(runs[runs["route"] == name], task)
            for explainer in explainers:
                for metric in METRICS:
                    column = (explainer, metric, True)
                    if column not in measures.columns:
                        continue
                    values = measures[column].to_numpy()[own["place"]]
                    if np.isnan(values).all():
                        continue
                    about = dict(zip(statistics.TASK, task, strict=True)) | {"route": name}
                    about |= {"explainer": explainer, "measure": metric}
                    own = own.assign(value=values)
                    full = _full_precision(anchors, task, explainer, metric)
                    compared = (about | row for row in _compared(own, full))
                    if metric not in _CLAIMED:
                        compared = (row | {"claim": ""} for row in compared)
                    rows += compared
    if not rows:
        raise Unavailable("nothing was measured of the maps of any route")
    table = pd.DataFrame(rows)
    table["p_t_holm"] = np.nan
    keys = [*statistics.TASK, "explainer", "measure", "at"]
    for places in table[table["claim"] != ""].groupby(keys, sort=False).indices.values():
        labels = table.index[table["claim"] != ""][places]
        table.loc[labels, "p_t_holm"] = statistics.holm(table.loc[labels, "p_t"].to_numpy())
    table["verdict"] = [_verdict(row) for row in table.to_dict("records")]
    table["seeds"] = collected.seeds_of(table)
    order = ["dataset", "model", "route", "matching", "other", "explainer", "measure", "at",
             "claim", "difference_mean", "difference_half_width", "n", "seeds", "values", "p_t",
             "p_t_holm", "verdict"]  # fmt: skip
    return table[order]


def _full_precision(
    anchors: pd.DataFrame, task: tuple[str, str], explainer: str, metric: str
) -> dict[int, float]:
    """Seed -> the measure of full precision's own maps; none of consistency, which is with them."""
    if metric == "pearson":
        return {}
    anchors = of_task(anchors, task)
    own = anchors[
        (anchors["explainer"] == explainer)
        & (anchors["metric"] == metric)
        & anchors["signed"].astype(bool)
    ]
    return dict(zip(own["seed"], own["identical"], strict=True))


def _compared(runs: pd.DataFrame, full: dict[int, float]) -> Iterator[dict]:
    """The rows of one route, explainer and measure."""
    setting = [name for name in map(parameter_column, _SETTING) if name in runs.columns]
    # the settings of most runs without matching; what differs from them asks further questions
    plain = runs[runs["way"] == NONE]
    if plain.empty:
        return
    settings = runs[setting].astype(object).fillna("").astype(str).agg(" ".join, axis=1)
    runs = runs[settings == settings[plain.index].mode()[0]]
    curves = {key: own for key, own in runs.groupby(["way", "seed"], sort=False)}
    seeds = sorted(runs["seed"].unique())
    if full:
        changes = [
            curves[NONE, seed]["value"].mean() - full.get(seed, np.nan)
            if (NONE, seed) in curves
            else np.nan
            for seed in seeds
        ]
        yield _row(NONE, FULL, "points", changes)
    for one, other in (*CLAIMS, *OTHER_PAIRS):
        if other == FULL or not {one, other} <= set(runs["way"]):
            continue
        for at, coordinate in ALONG.items():
            differences = [
                mean_difference(*(_curve(curves[way, seed], coordinate) for way in (one, other)))
                if (one, seed) in curves and (other, seed) in curves
                else np.nan
                for seed in seeds
            ]
            yield _row(one, other, at, differences)


def _row(one: str, other: str, at: str, differences: list[float]) -> dict:
    values = np.array(differences, dtype=float)
    compared = statistics.compare_pairs(values)
    return {
        "matching": one, "other": other, "at": at, "claim": CLAIMS.get((one, other), ""),
        "difference_mean": compared.mean, "difference_half_width": compared.half_width,
        "n": compared.n, "values": rendering.listed(values[np.isfinite(values)]),
        "p_t": compared.p_t,
    }  # fmt: skip


def _curve(runs: pd.DataFrame, coordinate: str) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates in order, each once, and the mean value at each."""
    means = runs.groupby(coordinate)["value"].mean().dropna()
    x = means.index.to_numpy(float)
    return (np.log(x) if coordinate == ALONG["size"] else x), means.to_numpy(float)


def mean_difference(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]
) -> float:
    """Mean of one piecewise linear curve minus another over the range in which both are known.

    Parameters
    ----------
    one, other : (x, y), x increasing

    Returns
    -------
    float
        NaN if the ranges have no point in common.
    """
    if not len(one[0]) or not len(other[0]):
        return np.nan
    low, high = max(one[0][0], other[0][0]), min(one[0][-1], other[0][-1])
    if low > high:
        return np.nan
    x = np.unique(np.concatenate([one[0], other[0], [low, high]]))
    x = x[(x >= low) & (x <= high)]
    y = np.interp(x, *one) - np.interp(x, *other)
    if high == low:
        return float(y[0])
    return float(np.diff(x) @ (y[1:] + y[:-1]) / 2 / (high - low))


def _verdict(row: dict) -> str:
    if not row["n"]:
        return ""
    if not row["p_t"] < LEVEL:
        return "open"
    side = "above" if row["difference_mean"] > 0 else "below"
    if not row["claim"]:
        return side
    return "reproduced" if side == row["claim"] else "contradicted"


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task and route: a row per comparison and measure."""
    headers = ["First", "Minus", "Measure", "At equal", "Difference", "Values", "p", "Holm",
               "Paper", "Verdict", "n"]  # fmt: skip
    sections = []
    for task in tasks_of(table):
        own = of_task(table, task)
        for route, rows in own.groupby("route", sort=False):
            explainer = "grad_cam"
            if explainer not in set(rows["explainer"]):
                explainer = rows["explainer"].iloc[0]
            shown = rows[rows["explainer"] == explainer]
            title = f"{style.task_label(*task)}, {method_label(route)}, {style.label(explainer)}"
            cells = [_cells(row) for row in shown.to_dict("records")]
            sections.append(rendering.section(title, headers, cells, names=4, repeated=2))
    return rendering.document("routes", table, NOTE, sections)


def _cells(row: dict) -> list[str]:
    interval = row["difference_mean"], row["difference_half_width"], row["n"]
    return [
        way_label(row["matching"]),
        way_label(row["other"]),
        METRICS[row["measure"]],
        rendering.EMPTY if row["at"] == "points" else row["at"],
        rendering.measure(interval, 1, 3, signed=True, seeds=row["seeds"]),
        rendering.braced(row["values"], 1, 3, signed=True) if row["n"] else rendering.EMPTY,
        rendering.p_value(row["p_t"]),
        rendering.p_value(row["p_t_holm"]),
        row["claim"] or rendering.EMPTY,
        row["verdict"] or rendering.EMPTY,
        str(row["n"]),
    ]


def way_label(name: str) -> str:
    """How readers know a way of matching."""
    first, comma, rest = name.partition(",")
    known = {"ewa": "EWA", "swa": "SWA", "sswa": "SSWA", "e2kd": "e²KD", NONE: "no matching"}
    return known.get(first, first) + comma + rest
