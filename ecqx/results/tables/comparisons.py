"""Every two methods against each other: accuracy at the same size, on the same seeds.

Exploratory: what was planned is in :mod:`ecqx.results.tables.contrasts`.
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from ecqx.results import rendering, statistics, style
from ecqx.results.collected import Collected
from ecqx.results.keys import tasks_of
from ecqx.results.rendering import method_label

NOTE = (
    "Exploratory: every pair of methods, whether or not a question was asked of it beforehand; the "
    "planned contrasts are in a table of their own. Difference in test accuracy at the same size, "
    "first method minus second: for each seed read along both fronts, which are chosen on "
    "validation data, at all compression ratios to which both have a run of that seed within 10 % "
    "(the R40 series, equal steps in log size), and averaged over these ratios. Pairs without "
    "such a ratio cannot be compared (0 ratios). d_z: mean over standard deviation of the "
    "differences between seeds. p: paired t-test, two-sided; Holm: the same, adjusted for all "
    "pairs of the task (Holm 1979). With three seeds the t-test needs |d_z| > 2.5 for p < 0.05 "
    "and rests on normally distributed differences; Wilcoxon's signed-rank test cannot fall below "
    "0.25 there (below 0.05 from six seeds on), so that it cannot decide, and its p-value is "
    "given with the smallest that it could take. A p-value that is not small is no evidence that "
    "two methods are equal: look at the interval. "
)


def build(collected: Collected) -> pd.DataFrame:
    """Paired comparisons of all pairs of methods of each task.

    Returns
    -------
    DataFrame
        dataset, model, method, other; ratios (count of common ones), ratio_least, ratio_most;
        difference_mean, difference_half_width (accuracy, as fractions), n, seeds (of the task);
        d_z, p_t, p_t_holm, p_wilcoxon, p_wilcoxon_least; see ecqx.results.statistics.Comparison.
    """
    readings = statistics.readings_of(collected.at_ratios, ["accuracy"])
    rows = []
    for task in tasks_of(collected.runs):
        methods = style.method_order(key[2] for key in readings if key[:2] == task)
        first = len(rows)
        for method, other in itertools.combinations(methods, 2):
            paired = statistics.pair_sizes(readings[(*task, method)], readings[(*task, other)])
            compared = statistics.compare_pairs(paired.differences)
            rows.append(
                dict(zip(statistics.TASK, task, strict=True))
                | {
                    "method": method,
                    "other": other,
                    "ratios": paired.counts[0],
                    "ratio_least": paired.ratios[0, 0],
                    "ratio_most": paired.ratios[0, 1],
                    "difference_mean": compared.mean,
                    "difference_half_width": compared.half_width,
                    "n": compared.n,
                    "seeds": collected.seeds[task],
                    "d_z": compared.d_z,
                    "p_t": compared.p_t,
                    "p_wilcoxon": compared.p_wilcoxon,
                    "p_wilcoxon_least": statistics.least_signed_rank(compared.n),
                }
            )
        adjusted = statistics.holm([row["p_t"] for row in rows[first:]])
        for row, value in zip(rows[first:], adjusted, strict=True):
            row["p_t_holm"] = value
    columns = [*statistics.TASK, "method", "other", "ratios", "ratio_least", "ratio_most",
               "difference_mean", "difference_half_width", "n", "seeds", "d_z", "p_t", "p_t_holm",
               "p_wilcoxon", "p_wilcoxon_least"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: a row per pair of methods."""
    headers = ["Method", "Minus", "Difference [points]", "d_z", "p", "Holm", "Wilcoxon",
               "Ratios", "From", "To", "n"]  # fmt: skip
    sections = rendering.by_task(table, headers, _cells, names=2, repeated=1)
    return rendering.document("comparisons", table, NOTE, sections)


def _cells(row: dict) -> list[str]:
    difference = row["difference_mean"], row["difference_half_width"], row["n"]
    wilcoxon = rendering.UNDEFINED
    if np.isfinite(row["p_wilcoxon"]):
        least = rendering.p_value(row["p_wilcoxon_least"])
        wilcoxon = f"{rendering.p_value(row['p_wilcoxon'])} (≥ {least})"
    return [
        method_label(row["method"]),
        method_label(row["other"]),
        rendering.measure(difference, 100, 2, signed=True, seeds=row["seeds"]),
        rendering.number(row["d_z"], digits=1, signed=True),
        rendering.p_value(row["p_t"]),
        rendering.p_value(row["p_t_holm"]),
        wilcoxon,
        str(row["ratios"]),
        f"{row['ratio_least']:g}" if row["ratios"] else rendering.EMPTY,
        f"{row['ratio_most']:g}" if row["ratios"] else rendering.EMPTY,
        str(row["n"]),
    ]
