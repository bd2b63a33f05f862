"""The comparisons that the benchmark was made for, each with one primary measure.

They are planned, and adjusted among themselves: all of them, on all tasks of the results, are one
family. Everything else that the tables compare is exploratory.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ecqx.results import keys, rendering, statistics, style
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.keys import of_task, tasks_of
from ecqx.results.rendering import method_label
from ecqx.results.tables.matching import pairs
from ecqx.results.variants import method_of

ACCURACY, CONSISTENCY = "accuracy", "pearson"
MARGIN = 0.01  # of accuracy: what counts as level
TRAINED, UNTRAINED = "best trained", "best untrained"
LEVEL = 0.05
EPOCHS = keys.parameter_column("epochs_factor")
NOTE = (
    "The questions that were asked beforehand, first method minus second, on the same seeds. "
    "Accuracy [points]: of the test data at the same size, read along both fronts, which are "
    "chosen on validation data, and averaged over the compression ratios to which both methods "
    "have a run of that seed within 10 % (R40 series). Best trained, best untrained: at each "
    "ratio and seed, the method of that kind with the best accuracy on validation data, without "
    "variants of methods. Uniform with more epochs: of about the computing time of ECQx. Pearson "
    "[–]: correlation of the signed maps with those of full precision, mean over all evaluated "
    "samples and over explainers; operating points are paired whose sizes agree within 3 % with "
    "every seed, else it is read at the same sizes through all runs. Values: of the seeds, in "
    "their order. Holm: two-sided paired t-test, adjusted for all contrasts of this table that "
    "could be tested (Holm 1979). Level: p of two one-sided t-tests for a difference of less than "
    "1 point, not adjusted. Detectable: the difference that a t-test at 5 % with this spread and "
    "n would find 4 times out of 5. Verdict: better or worse, Holm below 0.05; level, equivalence "
    "below 0.05 and no difference shown; open, neither shown: that is not evidence of no "
    "difference. At: how many ratios, of any seed, or points, and their range. "
)


def build(collected: Collected) -> pd.DataFrame:
    """The planned contrasts of every task whose methods were run.

    Returns
    -------
    DataFrame
        dataset, model, method, other, measure ("accuracy", a fraction, or "pearson"); paired
        ("sizes" or "points"), count (of them), ratio_least, ratio_most; difference_mean,
        difference_half_width, n, seeds (of the task), values (of the seeds, separated by spaces);
        d_z, p_t, p_t_holm, margin, p_equivalence (missing without a margin), least_detectable,
        verdict ("better", "worse", "level", "open"; empty where nothing could be compared).

    Raises
    ------
    Unavailable : no two methods of a planned contrast were run.
    """
    rows = []
    for task in tasks_of(collected.runs):
        for method, other, measure, paired in _planned(collected, task):
            margin = MARGIN if measure == ACCURACY else np.nan
            values = paired.differences[:, 0]
            compared = statistics.compare_pairs(values)
            rows.append(
                dict(zip(statistics.TASK, task, strict=True))
                | {
                    "method": method,
                    "other": other,
                    "measure": measure,
                    "paired": paired.by,
                    "count": paired.counts[0],
                    "ratio_least": paired.ratios[0, 0],
                    "ratio_most": paired.ratios[0, 1],
                    "difference_mean": compared.mean,
                    "difference_half_width": compared.half_width,
                    "n": compared.n,
                    "seeds": collected.seeds[task],
                    "values": rendering.listed(values[np.isfinite(values)]),
                    "d_z": compared.d_z,
                    "p_t": compared.p_t,
                    "margin": margin,
                    "p_equivalence": statistics.equivalence(values, margin),
                    "least_detectable": statistics.least_detectable(values),
                }
            )
    if not rows:
        raise Unavailable("no two methods of a planned contrast were run on the same task")
    table = pd.DataFrame(rows)
    place = table.columns.get_loc("p_t") + 1
    table.insert(place, "p_t_holm", statistics.holm(table["p_t"].to_numpy()))
    table["verdict"] = [_verdict(row) for row in table.to_dict("records")]
    return table


def _planned(
    collected: Collected, task: tuple[str, str]
) -> Iterator[tuple[str, str, str, statistics.Paired]]:
    """(method, other, measure, what is paired) of each contrast whose methods were run."""
    readings = statistics.readings_of(
        of_task(collected.at_ratios, task), [ACCURACY, "accuracy_validation"]
    )
    here = {key[2]: own for key, own in readings.items()}
    longer = [("ecqx", name) for name in _longer(of_task(collected.runs, task), "uniform")]
    for method, other in (("ecq", "uniform"), ("ecqx", "ecq"), *longer):
        if method in here and other in here:
            yield method, other, ACCURACY, statistics.pair_sizes(here[method], here[other])
    if collected.attributions is not None and not collected.attributions.empty:
        matched = pairs(here)
        for method in style.method_order(matched):
            # variants of a method with matching ask further questions
            if ", " not in method and matched[method] in here:
                paired = _closeness(collected, task, method, matched[method])
                if paired is not None:
                    yield method, matched[method], CONSISTENCY, paired
    trained = statistics.trained(of_task(collected.runs, task))
    # variants are not of the budget that all methods share, or were tried for one method alone
    best = [_best([own for name, own in here.items() if trained.get(name) is kind and
                   ", " not in name]) for kind in (True, False)]  # fmt: skip
    if all(best):
        yield TRAINED, UNTRAINED, ACCURACY, statistics.pair_sizes(*best)


def _longer(runs: pd.DataFrame, method: str) -> list[str]:
    """Variants of the method that had more epochs than the budget, and differ in nothing else."""
    if EPOCHS not in runs.columns:
        return []
    found = runs.loc[runs[EPOCHS] > 1, "method"].unique()
    return [name for name in found if method_of(name) == method and name.count(", ") == 1]


def _best(readings: list[statistics.Readings]) -> statistics.Readings | None:
    """At each ratio and seed what the best method on validation data has."""
    if not readings:
        return None
    seeds = readings[0].seeds
    for own in readings[1:]:
        seeds = np.intersect1d(seeds, own.seeds)
    stack = np.stack([own.values[np.isin(own.seeds, seeds)] for own in readings])
    score = np.where(np.isfinite(stack[..., 0]), stack[..., 1], -np.inf)
    chosen = np.nan_to_num(score, nan=-np.inf).argmax(axis=0)
    values = np.take_along_axis(stack, chosen[None, :, :, None], axis=0)[0]
    return statistics.Readings(seeds, readings[0].ratios, values)


def _closeness(
    collected: Collected, task: tuple[str, str], method: str, other: str
) -> statistics.Paired | None:
    """The mean Pearson correlation over explainers, paired; None if it was not measured."""
    columns = [c for c in collected.measures.columns if c[1] == CONSISTENCY and c[2]]
    here = (collected.runs["dataset"] == task[0]) & (collected.runs["model"] == task[1])
    measures = collected.measures.loc[here, columns].dropna(axis=1, how="all")
    if measures.empty or not len(measures.columns):
        return None
    runs, mean = collected.runs[here], measures.mean(axis=1, skipna=False)
    found = statistics.pair_points(runs, mean.to_numpy()[:, None], method, other)
    if found is not None:
        return found
    curves = statistics.seed_curves(runs)
    table = statistics.at_ratios(runs, mean.to_frame(CONSISTENCY), fronts=curves)
    readings = statistics.readings_of(table, [CONSISTENCY])
    return statistics.pair_sizes(readings[(*task, method)], readings[(*task, other)])


def _verdict(row: dict) -> str:
    if not row["n"]:
        return ""
    if row["p_t_holm"] < LEVEL:
        return "better" if row["difference_mean"] > 0 else "worse"
    return "level" if row["p_equivalence"] < LEVEL else "open"


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: a row per contrast."""
    headers = ["Method", "Minus", "Measure", "Difference", "Values", "p", "Holm", "Level",
               "Detectable", "Verdict", "At", "n"]  # fmt: skip
    sections = rendering.by_task(table, headers, _cells, names=3)
    return rendering.document("contrasts", table, NOTE, sections)


def _cells(row: dict) -> list[str]:
    factor, digits = (100, 2) if row["measure"] == ACCURACY else (1, 3)
    interval = row["difference_mean"], row["difference_half_width"], row["n"]
    at = rendering.EMPTY
    if row["count"]:
        least, most = (rendering.number(row[f"ratio_{end}"], digits=1) for end in ("least", "most"))
        at = f"{row['count']} {row['paired']}, {least} to {most}"
    names = [name if name in (TRAINED, UNTRAINED) else method_label(name)
             for name in (row["method"], row["other"])]  # fmt: skip
    return [
        *names,
        "accuracy [points]" if row["measure"] == ACCURACY else "Pearson [–]",
        rendering.measure(interval, factor, digits, signed=True, seeds=row["seeds"]),
        rendering.braced(row["values"], factor, digits, signed=True)
        if row["n"]
        else rendering.EMPTY,
        rendering.p_value(row["p_t"]),
        rendering.p_value(row["p_t_holm"]),
        rendering.p_value(row["p_equivalence"]),
        rendering.number(row["least_detectable"], factor, digits),
        row["verdict"] or rendering.EMPTY,
        at,
        str(row["n"]),
    ]
