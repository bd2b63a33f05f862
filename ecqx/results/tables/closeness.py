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
from ecqx.results.metrics import complexity, lower_is_better
from ecqx.results.rendering import method_label

REFERENCE = "uniform"
NOTE = (
    "Exploratory, except for what the table of planned contrasts holds. Signed so that above 0 is "
    "better (closer to full precision, or better localised). Against uniform training at the same "
    "size: operating points are paired whose sizes agree within 3 % with every seed; where a "
    "method has no such pair, the measure of the maps is read through all runs of both methods, "
    "linearly in log size, at all compression ratios to which both have a run of that seed within "
    "10 % (R40 series), and the difference is averaged (by: points or sizes). Against "
    "retrained: the mean of the method at the same points or sizes (of uniform training: at all of "
    "its own) minus the measure of a full-precision network that was trained from a seed of its "
    "own: above 0, compression changes explanations less than another seed does. Maps over all "
    "evaluated samples. Tally: measures (explainer and metric, signed maps) whose 95 % interval of "
    "a single comparison lies above 0, below 0, or holds 0; about 1 in 20 of those without any "
    "effect lies outside by chance. * marks differences with p < 0.05 after Holm's correction for "
    "all measures of signed maps and methods of the task (paired t-test). "
)


def build(collected: Collected) -> pd.DataFrame:
    """Each method against uniform and against the retrained anchor, per explainer and metric.

    Returns
    -------
    DataFrame
        dataset, model, method, explainer, metric, signed; paired ("points" or "sizes"), count (of
        them), ratio_least, ratio_most (for uniform itself, and without it, those of the method);
        difference_mean, difference_half_width, n (method minus uniform; n is 0 for uniform itself);
        d_z, p_t, p_t_holm (over the task, of signed maps alone); accuracy_difference_mean and
        _half_width at the same sizes; retrained_difference_mean, _half_width and retrained_n
        (method minus retrained, at the same sizes); seeds (of the task). Differences of measures
        of which less is better have their sign changed: above 0 is better everywhere.

    Raises
    ------
    Unavailable : there are no attributions.
    """
    known = collected.measures
    known = known[[measure for measure in known.columns if measure[1] not in complexity()]]
    measures = list(known.columns)
    turned = lower_is_better()
    signs = [-1.0 if metric in turned else 1.0 for _, metric, _ in measures]
    runs = collected.runs
    columns = [*measures, "accuracy"]
    readings = statistics.readings_of(collected.measures_at_ratios, columns)
    values = np.column_stack([known.to_numpy(float), runs["accuracy"].astype(float)])
    anchors = collected.anchors.set_index(
        [*statistics.TASK, "explainer", "metric", "signed", "seed"]
    )
    retrained = anchors["retrained"].to_dict()
    rows = []
    for task in tasks_of(runs):
        here = {key[2]: own for key, own in readings.items() if key[:2] == task}
        places = np.flatnonzero((runs["dataset"] == task[0]) & (runs["model"] == task[1]))
        applies = np.isfinite(values[places]).any(axis=0)
        first = len(rows)
        for method in style.method_order(here):
            paired = _against_uniform(runs.iloc[places], values[places], here, method)
            accuracy = statistics.mean_interval(paired.differences[:, -1])
            for place in np.flatnonzero(applies[:-1]):
                measure, sign = measures[place], signs[place]
                compared = statistics.compare_pairs(sign * paired.differences[:, place])
                anchor = [retrained.get((*task, *measure, seed), np.nan) for seed in paired.seeds]
                against_anchor = statistics.mean_interval(sign * (paired.levels[:, place] - anchor))
                rows.append(
                    {
                        "dataset": task[0], "model": task[1], "method": method,
                        "explainer": measure[0], "metric": measure[1], "signed": measure[2],
                        "paired": paired.by,
                        "count": paired.counts[place],
                        "ratio_least": paired.ratios[place, 0],
                        "ratio_most": paired.ratios[place, 1],
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
        # absolute maps are the signed ones again: they would count every measure twice
        own = [row["p_t"] if row["signed"] else np.nan for row in rows[first:]]
        for row, value in zip(rows[first:], statistics.holm(own), strict=True):
            row["p_t_holm"] = value
    columns = [*statistics.TASK, "method", "explainer", "metric", "signed", "paired", "count",
               "ratio_least", "ratio_most", "difference_mean", "difference_half_width", "n", "d_z",
               "p_t", "p_t_holm", "accuracy_difference_mean", "accuracy_difference_half_width",
               "retrained_difference_mean", "retrained_difference_half_width", "retrained_n",
               "seeds"]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    if table.empty:
        raise Unavailable("no run has a measure of its attributions")
    return collected.in_order(table, "method", "explainer", "metric", "signed")


def _against_uniform(
    runs: pd.DataFrame, values: np.ndarray, here: dict[str, statistics.Readings], method: str
) -> statistics.Paired:
    """The method minus uniform; without differences for uniform itself and without it."""
    if method == REFERENCE or REFERENCE not in here:
        return statistics.own_levels(here[method])
    by_point = statistics.pair_points(runs, values, method, REFERENCE)
    return by_point or statistics.pair_sizes(here[method], here[REFERENCE])


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
