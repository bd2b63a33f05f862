"""Do compressed networks keep their attributions?

Each method against uniform training and against a network retrained from another seed, at the same
size.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecqx.results import rendering, statistics, style
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.keys import of_task, tasks_of
from ecqx.results.metrics import lower_is_better
from ecqx.results.rendering import method_label

REFERENCE = "uniform"
NOTE = (
    "Signed so that above 0 is better (closer to full precision, or better localised). Against "
    "uniform training at the same size: for each seed, the measure of the maps is read off both "
    "methods' fronts of accuracy against size, linearly in log size, at all common compression "
    "ratios at which both are defined for every seed, and the difference is averaged over these "
    "ratios. Against retrained: the mean of the method at the same ratios (of uniform training: "
    "at all of its own) minus the measure of a full-precision network that was trained from "
    "another seed: above 0, compression changes explanations less than another seed does. Maps "
    "over all evaluated samples. Tally: measures (explainer and metric, signed maps) whose 95 % "
    "interval of a single comparison lies above 0, below 0, or holds 0; about 1 in 20 of those "
    "without any effect lies outside by chance. * marks differences with p < 0.05 after Holm's "
    "correction for all measures and methods of the task (paired t-test). "
)


def build(collected: Collected) -> pd.DataFrame:
    """Each method against uniform and against the retrained anchor, per explainer and metric.

    Returns
    -------
    DataFrame
        dataset, model, method, explainer, metric, signed; ratios, ratio_least, ratio_most (those
        common with uniform; for uniform itself, and without it, those of the method);
        difference_mean, difference_half_width, n (method minus uniform; n is 0 for uniform itself);
        d_z, p_t, p_t_holm (over the task); accuracy_difference_mean and _half_width at the same
        ratios; retrained_difference_mean, _half_width and retrained_n (method minus retrained, at
        the same ratios); seeds (of the task). Differences of measures of which less is better have
        their sign changed: above 0 is better everywhere.

    Raises
    ------
    Unavailable : there are no attributions.
    """
    measures = list(collected.measures.columns)
    turned = lower_is_better()
    signs = [-1.0 if metric in turned else 1.0 for _, metric, _ in measures]
    readings = statistics.readings_of(collected.at_ratios, [*measures, "accuracy"])
    anchors = collected.anchors.set_index(
        [*statistics.TASK, "explainer", "metric", "signed", "seed"]
    )
    retrained = anchors["retrained"].to_dict()
    rows = []
    for task in tasks_of(collected.runs):
        here = {key[2]: value for key, value in readings.items() if key[:2] == task}
        applies = np.any([~np.isnan(own.values).all(axis=(0, 1)) for own in here.values()], axis=0)
        first = len(rows)
        for method in style.method_order(here):
            own = here[method]
            differences, common = _against_uniform(own, None if method == REFERENCE else here)
            accuracy = statistics.mean_interval(differences[:, -1])
            levels = statistics.levels_at(own.values, common)
            for place in np.flatnonzero(applies[:-1]):
                measure, sign = measures[place], signs[place]
                ratios = own.ratios[common[:, place]]
                compared = statistics.compare_pairs(sign * differences[:, place])
                anchor = [retrained.get((*task, *measure, seed), np.nan) for seed in own.seeds]
                against_anchor = statistics.mean_interval(sign * (levels[:, place] - anchor))
                rows.append(
                    {
                        "dataset": task[0], "model": task[1], "method": method,
                        "explainer": measure[0], "metric": measure[1], "signed": measure[2],
                        "ratios": len(ratios),
                        "ratio_least": ratios.min() if ratios.size else np.nan,
                        "ratio_most": ratios.max() if ratios.size else np.nan,
                        "difference_mean": compared.mean,
                        "difference_half_width": compared.half_width,
                        "n": compared.n,
                        "d_z": compared.d_z,
                        "p_t": compared.p_t,
                        "accuracy_difference_mean": accuracy.mean,
                        "accuracy_difference_half_width": accuracy.half_width,
                        "retrained_difference_mean": against_anchor.mean,
                        "retrained_difference_half_width": against_anchor.half_width,
                        "retrained_n": against_anchor.n,
                        "seeds": collected.seeds[task],
                    }
                )  # fmt: skip
        adjusted = statistics.holm([row["p_t"] for row in rows[first:]])
        for row, value in zip(rows[first:], adjusted, strict=True):
            row["p_t_holm"] = value
    columns = [*statistics.TASK, "method", "explainer", "metric", "signed", "ratios",
               "ratio_least", "ratio_most", "difference_mean", "difference_half_width", "n", "d_z",
               "p_t", "p_t_holm", "accuracy_difference_mean", "accuracy_difference_half_width",
               "retrained_difference_mean", "retrained_difference_half_width", "retrained_n",
               "seeds"]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    if table.empty:
        raise Unavailable("no run has a measure of its attributions")
    return collected.in_order(table, "method", "explainer", "metric", "signed")


def _against_uniform(
    own: statistics.Readings, here: dict[str, statistics.Readings] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Differences to uniform and the common ratios.

    Undefined differences, and the method's own ratios, for uniform itself (``here`` is None) and
    where uniform was not run.
    """
    if here is not None and REFERENCE in here:
        return statistics.common_differences(own, here[REFERENCE])
    levels, common = statistics.common_levels(own)
    return np.full(levels.shape, np.nan), common


def tally(table: pd.DataFrame) -> pd.DataFrame:
    """How many measures (signed maps) lie above 0, below 0, or hold 0, per task and method.

    Returns
    -------
    DataFrame
        dataset, model, method; uniform_above, uniform_holds, uniform_below, uniform_undefined, and
        the same for retrained; accuracy_difference_mean and _half_width against uniform.
    """
    table = table[table["signed"].astype(bool)]
    rows = []
    for key, own in table.groupby([*statistics.TASK, "method"], sort=False):
        row = dict(zip([*statistics.TASK, "method"], key, strict=True))
        for name, column in (("uniform", "difference"), ("retrained", "retrained_difference")):
            mean, half_width = own[f"{column}_mean"], own[f"{column}_half_width"]
            above, below = mean - half_width > 0, mean + half_width < 0
            known = (mean + half_width).notna()
            row |= {
                f"{name}_above": int(above.sum()),
                f"{name}_holds": int((known & ~above & ~below).sum()),
                f"{name}_below": int(below.sum()),
                f"{name}_undefined": int((~known).sum()),
            }
        for part in ("mean", "half_width"):
            row[f"accuracy_difference_{part}"] = own[f"accuracy_difference_{part}"].iloc[0]
        rows.append(row)
    return pd.DataFrame(rows)


def document(table: pd.DataFrame) -> rendering.Document:
    """Per task the tally, then the differences to uniform and to retrained, signed maps."""
    counts = tally(table)
    signed = table[table["signed"].astype(bool)]
    sections = []
    for task in tasks_of(table):
        label = style.task_label(*task)
        cells = [_tally_cells(row) for row in of_task(counts, task).to_dict("records")]
        headers = ["Method", "Uniform: above", "holds 0", "below", "undefined",
                   "Accuracy difference [points]", "Retrained: above", "holds 0", "below",
                   "undefined"]  # fmt: skip
        sections.append(rendering.section(f"{label}, tally", headers, cells, names=1))
        rows = of_task(signed, task)
        for title, column, count in (
            ("against uniform", "difference", "n"),
            ("against retrained", "retrained_difference", "retrained_n"),
        ):
            sections.append(_differences(rows, f"{label}, {title}", column, count))
    return rendering.document("closeness", table, NOTE, sections)


def _differences(rows: pd.DataFrame, title: str, column: str, count: str) -> rendering.Section:
    """A row per explainer and metric, a column per method."""
    if column == "difference":
        rows = rows[rows["method"] != REFERENCE]
    methods = style.method_order(rows["method"])
    known = {}
    for row in rows.to_dict("records"):
        known.setdefault((row["explainer"], row["metric"]), {})[row["method"]] = row
    cells = []
    for (explainer, metric), by_method in known.items():  # in the order of the table
        cells.append([style.label(explainer), style.label(metric)])
        for method in methods:
            row = by_method[method]
            interval = row[f"{column}_mean"], row[f"{column}_half_width"], row[count]
            text = rendering.measure(interval, 1, 3, signed=True, seeds=row["seeds"])
            if column == "difference" and row["p_t_holm"] < 0.05:
                text += " *"
            cells[-1].append(text)
    headers = ["Explainer", "Metric", *map(method_label, methods)]
    return rendering.section(title, headers, cells, names=2, repeated=1)


def _tally_cells(row: dict) -> list[str]:
    def counts(name):
        parts = ("above", "holds", "below", "undefined")
        return [str(row[f"{name}_{part}"]) for part in parts]

    accuracy = row["accuracy_difference_mean"], row["accuracy_difference_half_width"], 0
    uniform = [*counts("uniform"), rendering.measure(accuracy, 100, 2, signed=True)]
    if row["method"] == REFERENCE:
        uniform = [rendering.EMPTY] * len(uniform)
    return [method_label(row["method"]), *uniform, *counts("retrained")]
