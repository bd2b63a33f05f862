"""Operating points in the layout of the ECQx paper: per task and bit width, what each method
reaches at its most accurate, without degradation, and with a negligible one.

Source of the layout: Becking et al., ECQx, arXiv 2109.04236, section 5.

Where runs.csv has the accuracy on validation data, each seed chooses its own point on it, as a user
would, and the interval over seeds holds the chance in that choice as well. Otherwise points are
chosen on their mean test accuracy over seeds, which describes the front that was reached.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecqx.results import statistics, style
from ecqx.results.tables import rendering
from ecqx.results.tables.collected import Collected, method_label, of_task, tasks_of

VALIDATION = ("accuracy_validation", "accuracy_validation_fp32")
TOLERATED_DROP = {
    "best_accuracy": None,
    "no_degradation": 0.0,
    "within_half_a_point": 0.005,
    "within_1_point": 0.01,
    "within_2_points": 0.02,
}
_CRITERIA = {
    "best_accuracy": "best accuracy",
    "no_degradation": "no degradation",
    "within_half_a_point": "within 0.5 points",
    "within_1_point": "within 1 point",
    "within_2_points": "within 2 points",
}
_ROUNDING = 1e-9  # a drop of exactly one point counts as within one point, whatever its last bit
_NO_BITS = 999  # methods without a bit width come last
_MEASURES = ("accuracy", "accuracy_change", "sparsity", "size_bytes", "compression_ratio")
_CHOSEN_ON = {
    "validation": "Each seed chooses its own point on validation accuracy; all numbers are on test "
    "data. In brackets behind a point: how many seeds chose it.",
    "test": "Selected on test: points are chosen on the mean test accuracy over seeds, and those "
    "with a diverged, skipped or missing run are not eligible. This describes the front that was "
    "reached, not a model tuned on validation data.",
}


def build(collected: Collected) -> pd.DataFrame:
    """The chosen points per task, bit width, method and criterion.

    Criteria: ``best_accuracy`` (ties: the smaller size), and the smallest size whose accuracy is at
    least that of full precision of the same seed (``no_degradation``) or at most 0.005, 0.01, 0.02
    below it (ties: the more accurate).

    Returns
    -------
    DataFrame
        dataset, model, bits (missing for methods without), method, criterion, selected_on
        ("validation" or "test"), points ("none", or each chosen point with its number of seeds),
        n (seeds with a qualifying point), seeds (of the task), ``<measure>_mean`` and
        ``<measure>_half_width`` of accuracy, accuracy_change, sparsity, size_bytes and
        compression_ratio over these n; runs, diverged, skipped (counts of the group).

    Raises
    ------
    ValueError
        A column is missing, or a run occurs twice.
    """
    runs = _scored(collected.runs)
    keys = [*statistics.TASK, "bits", "method"]
    runs["bits"] = runs["bits"].fillna(_NO_BITS)
    counted = runs[keys].assign(
        runs=1,
        diverged=(runs["status"] == "diverged").astype(int),
        skipped=(runs["status"] == "skipped").astype(int),
    )
    groups = counted.groupby(keys, observed=True).sum().reset_index()
    rules = runs[[*statistics.TASK, "selected_on"]].drop_duplicates()
    groups = groups.merge(rules, on=statistics.TASK, validate="many_to_one")
    parts = []
    for criterion, drop in TOLERATED_DROP.items():
        chosen = _choose(runs, drop, [*keys, "seed"])
        means = statistics.aggregate(chosen, keys, _MEASURES)
        names = chosen.groupby(keys, observed=True)["point"].agg(_named)
        means = means.merge(names.rename("points").reset_index(), on=keys)
        part = groups.merge(means, on=keys, how="left", validate="one_to_one")
        parts.append(part.assign(criterion=criterion, place=len(parts)))
    table = pd.concat(parts, ignore_index=True).rename(columns={"accuracy_n": "n"})
    table["points"] = table["points"].fillna("none")
    table["n"] = table["n"].fillna(0)
    table["seeds"] = collected.seeds_of(table)
    table = collected.in_order(table, "bits", "method", "place")
    table["bits"] = table["bits"].where(table["bits"] != _NO_BITS)
    measures = [f"{name}_{part}" for name in _MEASURES for part in ("mean", "half_width")]
    names = ["bits", "method", "criterion", "selected_on", "points", "n", "seeds"]
    columns = [*statistics.TASK, *names, *measures, "runs", "diverged", "skipped"]
    return table[columns].astype({"bits": "Int64", "n": int})


def _scored(runs: pd.DataFrame) -> pd.DataFrame:
    """``runs`` with what points are chosen by: ``score`` (accuracy minus full precision's),
    ``score_size``, and ``eligible``; and with ``accuracy_change``."""
    points = statistics.aggregate_points(runs)
    keys = statistics.POINT
    means = points[[*keys, "complete", "accuracy_change_mean", "size_bytes_mean"]]
    runs = runs.assign(accuracy_change=runs["accuracy"] - runs["accuracy_fp32"])
    runs = runs.merge(means, on=keys, how="left", validate="many_to_one")
    # A task is chosen by one rule: a method of which only test accuracy is known compares with none
    # that was chosen on validation.
    ok = runs["status"] == "ok"
    if set(VALIDATION) <= set(runs.columns):
        known = runs[list(VALIDATION)].notna().all(axis=1) | ~ok
        validated = known.groupby([runs[key] for key in statistics.TASK]).transform("all")
        score = runs[VALIDATION[0]] - runs[VALIDATION[1]]
    else:
        validated, score = pd.Series(False, index=runs.index), runs["accuracy_change"]
    return runs.assign(
        selected_on=np.where(validated, "validation", "test"),
        score=score.where(validated, runs["accuracy_change_mean"]),
        score_size=runs["size_bytes"].where(validated, runs["size_bytes_mean"]),
        eligible=np.where(validated, ok, runs["complete"]),
    )


def _choose(runs: pd.DataFrame, drop: float | None, seed: list[str]) -> pd.DataFrame:
    """The chosen run of each ``seed`` (of a method at a bit width) that has a qualifying one."""
    runs = runs[runs["eligible"]]
    order, ascending = ["score", "score_size", "point"], [False, True, True]
    if drop is not None:
        runs = runs[runs["score"] >= -drop - _ROUNDING]
        order, ascending = ["score_size", "score", "point"], [True, False, True]
    return runs.sort_values(order, ascending=ascending).drop_duplicates(seed)


def _named(points: pd.Series) -> str:
    """The chosen points; where seeds differ, with the number of seeds that chose each."""
    counts = points.value_counts().sort_index()
    if len(counts) == 1:
        return counts.index[0]
    return ", ".join(f"{point} ({count})" for point, count in counts.items())


def document(table: pd.DataFrame) -> rendering.Document:
    """The chosen points for readers, a section per task and bit width."""
    sections = []
    for task in tasks_of(table):
        for bits, rows in of_task(table, task).groupby("bits", dropna=False):
            width = "no bit width" if pd.isna(bits) else f"{bits} bit"
            cells, breaks = [], set()
            for _, own in rows.groupby("method", sort=False):
                breaks.add(len(cells))
                cells += _joined([_cells(row) for row in own.to_dict("records")])
            headers = ["Method", "Chosen as", "Operating point", "Accuracy [%]", "Change [points]",
                       "Sparsity [%]", "Size [kB]", "Ratio [–]", "Diverged"]  # fmt: skip
            title = f"{style.task_label(*task)}, {width}"
            sections.append(
                rendering.Section(title, headers, cells, names=3, breaks=frozenset(breaks))
            )
    chosen_on = " ".join(_CHOSEN_ON[rule] for rule in sorted(set(table["selected_on"])))
    interval = rendering.interval_note(table.groupby(statistics.TASK)["seeds"].first())
    note = (
        f"{chosen_on} Best accuracy; smallest size at no degradation (at least full precision of "
        "the same seed) and within 0.5, 1 and 2 percentage points of it (none: no point "
        f"qualifies); criteria that choose the same point share a row. {interval} Change: accuracy "
        "minus full precision of the same seed. Size: the whole decodable bitstream, 1 kB = 1000 "
        "bytes; ratio: full-precision size over it. Diverged: of all runs of the method at this "
        "bit width."
    )
    return rendering.Document("operating_points", "Operating points by bit width", note, sections)


def _joined(cells: list[list[str]]) -> list[list[str]]:
    """One method's rows, neighboring criteria that chose alike in one; its name and count once."""
    result = []
    for row in cells:
        if result and result[-1][2:] == row[2:]:
            result[-1][1] = f"{result[-1][1].split(' to ')[0]} to {row[1]}"
        else:
            result.append(row)
    return result[:1] + [["", *row[1:-1], ""] for row in result[1:]]


def _cells(row: dict) -> list[str]:
    def measure(name, factor, digits, signed=False, seeds=None):
        if row["n"] == 0:
            return rendering.EMPTY
        interval = row[f"{name}_mean"], row[f"{name}_half_width"], row["n"]
        return rendering.measure(interval, factor, digits, signed, seeds)

    diverged = f"{row['diverged']} of {row['runs']}"
    diverged += f" ({row['skipped']} skipped)" if row["skipped"] else ""
    return [
        method_label(row["method"]),
        _CRITERIA[row["criterion"]],
        row["points"],
        measure("accuracy", 100, 2, seeds=row["seeds"]),
        measure("accuracy_change", 100, 2, signed=True),
        measure("sparsity", 100, 1),
        measure("size_bytes", 1e-3, 2),
        measure("compression_ratio", 1, 1),
        diverged,
    ]
