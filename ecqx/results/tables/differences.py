"""How two methods differ: a row of the tables that compare pairs, and what it says to readers."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from ecqx.results import rendering, statistics
from ecqx.results.collected import Collected
from ecqx.results.keys import of_task
from ecqx.results.rendering import method_label

ACCURACY, CONSISTENCY = "accuracy", "pearson"
MARGIN = 0.01  # of accuracy: what counts as level
LEVEL = 0.05
HEADERS = ("Method", "Minus", "Measure", "Difference", "Values", "p", "Holm", "Level",
           "Detectable", "Verdict", "At", "n")  # fmt: skip
NOTE = (
    "Accuracy [points]: of the test data at the same size, read along both fronts, which are "
    "chosen on validation data, and averaged over the compression ratios to which both methods "
    "have a run of that seed within 10 % (R40 series). Pearson [–]: correlation of the signed maps "
    "with those of full precision, mean over all evaluated samples and over explainers; operating "
    "points are paired whose sizes agree within 3 % with every seed, else it is read at the same "
    "sizes through all runs. Values: of the seeds, in their order. Holm: two-sided paired t-test, "
    "adjusted for all rows of this table that could be tested (Holm 1979). Level: p of two "
    "one-sided t-tests for a difference of less than 1 point, not adjusted. Detectable: the "
    "difference that a t-test at 5 % with this spread and n would find 4 times out of 5. Verdict: "
    "better or worse, Holm below 0.05; level, equivalence below 0.05 and no difference shown; "
    "open, neither shown: that is not evidence of no difference. At: how many ratios, of any seed, "
    "or points, and their range. "
)


def readings(
    collected: Collected, task: tuple[str, str], measures: list[str]
) -> dict[str, statistics.Readings]:
    """Method, or variant -> its measures along its fronts, of one task."""
    found = statistics.readings_of(of_task(collected.at_ratios, task), measures)
    return {key[2]: own for key, own in found.items()}


def row(
    collected: Collected,
    task: tuple[str, str],
    method: str,
    other: str,
    measure: str,
    paired: statistics.Paired,
) -> dict:
    """One comparison: ``method`` minus ``other``.

    Returns
    -------
    dict
        dataset, model, method, other, measure ("accuracy", a fraction, or "pearson"); paired
        ("sizes" or "points"), count (of them), ratio_least, ratio_most; difference_mean,
        difference_half_width, n, seeds (of the task), values (of the seeds, separated by spaces);
        d_z, p_t, margin, p_equivalence (missing without a margin), least_detectable.
    """
    margin = MARGIN if measure == ACCURACY else np.nan
    values = paired.differences[:, 0]
    compared = statistics.compare_pairs(values)
    return dict(zip(statistics.TASK, task, strict=True)) | {
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


def judged(rows: list[dict]) -> pd.DataFrame:
    """The rows as one family: with p_t_holm, and verdict.

    The verdict is "better", "worse", "level" or "open", and empty where nothing could be compared.
    """
    table = pd.DataFrame(rows)
    place = table.columns.get_loc("p_t") + 1
    table.insert(place, "p_t_holm", statistics.holm(table["p_t"].to_numpy()))
    table["verdict"] = [_verdict(row) for row in table.to_dict("records")]
    return table


class Closeness:
    """How close the maps of one task are to those of full precision, for any two methods.

    Of a run it is the mean Pearson correlation over explainers.

    Parameters
    ----------
    collected : Collected
    task : (dataset, model)
    """

    def __init__(self, collected: Collected, task: tuple[str, str]) -> None:
        self._runs = of_task(collected.runs, task)
        self._task = task
        self._mean = pd.Series(dtype=float)
        if collected.attributions is not None and not collected.attributions.empty:
            columns = [c for c in collected.measures.columns if c[1] == CONSISTENCY and c[2]]
            here = (collected.runs["dataset"] == task[0]) & (collected.runs["model"] == task[1])
            measures = collected.measures.loc[here, columns].dropna(axis=1, how="all")
            if len(measures.columns):
                self._mean = measures.mean(axis=1, skipna=False)

    @cached_property
    def _readings(self) -> dict:
        curves = statistics.seed_curves(self._runs)
        mean = self._mean.to_frame(CONSISTENCY)
        table = statistics.at_ratios(self._runs, mean, fronts=curves)
        return statistics.readings_of(table, [CONSISTENCY])

    def paired(self, method: str, other: str) -> statistics.Paired | None:
        """Differences, of points of the same size or else at the same sizes; None without maps."""
        if self._mean.empty:
            return None
        found = statistics.pair_points(self._runs, self._mean.to_numpy()[:, None], method, other)
        if found is not None:
            return found
        both = (self._readings[(*self._task, name)] for name in (method, other))
        return statistics.pair_sizes(*both)


def _verdict(row: dict) -> str:
    if not row["n"]:
        return ""
    if row["p_t_holm"] < LEVEL:
        return "better" if row["difference_mean"] > 0 else "worse"
    return "level" if row["p_equivalence"] < LEVEL else "open"


def cells(row: dict) -> list[str]:
    """What stands below the headers."""
    factor, digits = (100, 2) if row["measure"] == ACCURACY else (1, 3)
    interval = row["difference_mean"], row["difference_half_width"], row["n"]
    at = rendering.EMPTY
    if row["count"]:
        least, most = (rendering.number(row[f"ratio_{end}"], digits=1) for end in ("least", "most"))
        at = f"{row['count']} {row['paired']}, {least} to {most}"
    return [
        method_label(row["method"]),
        method_label(row["other"]),
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
