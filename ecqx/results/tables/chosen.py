"""Which operating point of a method is taken, under what it may cost in accuracy: three tables.

``summary`` describes the front that each method reached: points are chosen on their mean test
accuracy over seeds, never seed by seed, which would pick the luckiest point of each. ``smallest``
and ``operating_points`` choose as a user would. Where runs.csv has the accuracy on validation data,
each seed chooses its own point on it, and the interval over seeds holds the chance in that choice
as well; otherwise they choose as the summary does. ``smallest`` takes a method's points of any bit
width, ``operating_points`` those of each, in the layout of the ECQx paper.

Source of that layout: ECQx [becking2021ecqx, section 5].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ecqx.results import rendering, statistics, style
from ecqx.results.collected import Collected
from ecqx.results.keys import of_task, tasks_of
from ecqx.results.rendering import method_label

VALIDATION = ("accuracy_validation", "accuracy_validation_fp32")
TOLERATED_DROP = {
    "best_accuracy": None,
    "no_degradation": 0.0,
    "within_half_a_point": 0.005,
    "within_1_point": 0.01,
    "within_2_points": 0.02,
}
CRITERIA = {
    "best_accuracy": "best accuracy",
    "no_degradation": "no degradation",
    "within_half_a_point": "within 0.5 points",
    "within_1_point": "within 1 point",
    "within_2_points": "within 2 points",
}
MEASURES = ("accuracy", "accuracy_change", "sparsity", "size_bytes", "compression_ratio")
REFERENCE = "full_precision"
NONE = "none"
_SUMMARISED = ("best_accuracy", "within_1_point", "within_2_points")
_MEANS = [f"{name}_{part}" for name in MEASURES for part in ("mean", "half_width")]
_ROUNDING = 1e-9  # a drop of exactly one point counts as within one point, whatever its last bit
_DIGITS = 12  # of accuracies: points that differ in the rounding of their means are tied
_NO_BITS = 999  # methods without a bit width come last
_CHOSEN_ON = {
    "validation": "Each seed chooses its own point on validation accuracy; all numbers are on test "
    "data. In brackets behind a point: how many seeds chose it.",
    "test": "Selected on test: points are chosen on the mean test accuracy over seeds, and those "
    "with a diverged, failed, skipped or missing run are not eligible. This describes the front "
    "that was reached, not a model tuned on validation data.",
}
_SUMMARY_NOTE = (
    "Mean ± half width of the 95 % t-interval over n seeds (n/a below two seeds). Per method: the "
    "operating point of best mean accuracy, and the smallest mean size among the points whose "
    "mean accuracy is at most 1 or 2 percentage points below full precision of the same seeds "
    "(none: no point qualifies). Points are chosen on the mean test accuracy: this describes the "
    "front that was reached, it is not a model tuned on validation data. Points with a diverged, "
    "failed, skipped or missing value are not eligible. Change: accuracy minus full precision of "
    "the same seed. Size: the whole decodable bitstream, 1 kB = 1000 bytes; ratio: full-precision "
    "size over it. Diverged runs: of all runs of the method on this task."
)


def choose_points(
    collected: Collected,
    keys: list[str],
    runs: pd.DataFrame,
    criteria: Sequence[str] = tuple(TOLERATED_DROP),
    on_validation: bool = True,
) -> pd.DataFrame:
    """The chosen points of each group and criterion.

    Criteria: ``best_accuracy`` (ties: the smaller size), and the smallest size whose accuracy is at
    least that of full precision of the same seed (``no_degradation``) or at most 0.005, 0.01, 0.02
    below it (ties: the more accurate). On test, only complete points are eligible: the mean over
    the seeds that survived would flatter.

    Parameters
    ----------
    collected : Collected
    keys : list of str, columns that make a group, the task's among them.
    runs : DataFrame, ``collected.runs``, in which no key is missing.
    criteria : sequence of str
    on_validation : bool, whether tasks with validation accuracies choose on them, seed by seed.

    Returns
    -------
    DataFrame
        The keys, criterion, place (of the criterion, from 0), selected_on ("validation" or "test"),
        points ("none", or each chosen point with its number of seeds), n (seeds with a qualifying
        point), seeds (of the task), ``<measure>_mean`` and ``<measure>_half_width`` of accuracy,
        accuracy_change, sparsity, size_bytes and compression_ratio over these n; runs, diverged,
        skipped, failed (counts of the group).

    Raises
    ------
    ValueError : a column is missing, or a run occurs twice.
    """
    runs = _scored(runs, on_validation)
    groups = statistics.count_statuses(runs, keys)
    rules = runs[[*statistics.TASK, "selected_on"]].drop_duplicates()
    groups = groups.merge(rules, on=statistics.TASK, validate="many_to_one")
    parts = []
    for place, criterion in enumerate(criteria):
        chosen = _choose(runs, TOLERATED_DROP[criterion], keys)
        means = statistics.aggregate(chosen, keys, MEASURES)
        names = chosen.groupby(keys, observed=True)["point"].agg(_named)
        means = means.merge(names.rename("points").reset_index(), on=keys)
        part = groups.merge(means, on=keys, how="left", validate="one_to_one")
        parts.append(part.assign(criterion=criterion, place=place))
    table = pd.concat(parts, ignore_index=True).rename(columns={"accuracy_n": "n"})
    table["points"] = table["points"].fillna(NONE)
    table["n"] = table["n"].fillna(0).astype(int)
    table["seeds"] = collected.seeds_of(table)
    names = ["criterion", "place", "selected_on", "points", "n", "seeds"]
    return table[[*keys, *names, *_MEANS, *statistics.COUNTED]]


def _scored(runs: pd.DataFrame, on_validation: bool) -> pd.DataFrame:
    """``runs`` with what points are chosen by, and with ``accuracy_change``.

    That is ``score`` (accuracy minus full precision's), ``score_size`` and ``eligible``.
    """
    points = statistics.aggregate_points(runs)
    keys = statistics.POINT
    means = points[[*keys, "complete", "accuracy_change_mean", "size_bytes_mean"]]
    runs = runs.assign(accuracy_change=runs["accuracy"] - runs["accuracy_fp32"])
    runs = runs.merge(means, on=keys, how="left", validate="many_to_one")
    # A task is chosen by one rule: a method of which only test accuracy is known compares with none
    # that was chosen on validation.
    ok = runs["status"] == "ok"
    if on_validation and set(VALIDATION) <= set(runs.columns):
        known = runs[list(VALIDATION)].notna().all(axis=1) | ~ok
        validated = known.groupby([runs[key] for key in statistics.TASK]).transform("all")
        score = runs[VALIDATION[0]] - runs[VALIDATION[1]]
    else:
        validated, score = pd.Series(False, index=runs.index), runs["accuracy_change"]
    return runs.assign(
        selected_on=np.where(validated, "validation", "test"),
        score=score.where(validated, runs["accuracy_change_mean"].round(_DIGITS)),
        score_size=runs["size_bytes"].where(validated, runs["size_bytes_mean"]),
        eligible=np.where(validated, ok, runs["complete"]),
    )


def _choose(runs: pd.DataFrame, drop: float | None, keys: list[str]) -> pd.DataFrame:
    """The runs of the chosen points: one point per group and seed, on test one per group."""
    found = runs[runs["eligible"]]
    order, ascending = ["score", "score_size", "point"], [False, True, True]
    if drop is not None:
        found = found[found["score"] >= -drop - _ROUNDING]
        order, ascending = ["score_size", "score", "point"], [True, False, True]
    found = found.sort_values(order, ascending=ascending)
    by_seed = found["selected_on"] == "validation"
    points = found.loc[~by_seed, [*keys, "point"]].drop_duplicates(keys)
    return pd.concat(
        [found[by_seed].drop_duplicates([*keys, "seed"]), runs.merge(points, on=[*keys, "point"])]
    )


def _named(points: pd.Series) -> str:
    """The chosen points; where seeds differ, with the number of seeds that chose each."""
    counts = points.value_counts().sort_index()
    if len(counts) == 1:
        return counts.index[0]
    return ", ".join(f"{point} ({count})" for point, count in counts.items())


def summary(collected: Collected) -> pd.DataFrame:
    """Best accuracy and smallest sizes near full precision, per task and method.

    Returns
    -------
    DataFrame
        dataset, model, method, criterion, point (``"none"`` where no point qualifies), n (seeds),
        ``<measure>_mean`` and ``<measure>_half_width`` of accuracy, accuracy_change (both as
        fractions), size_bytes, compression_ratio and sparsity; runs, diverged, skipped, failed
        (counts over all points of the method). Each task opens with a row of method
        ``"full_precision"``.

    Raises
    ------
    ValueError : a column is missing, or a run occurs twice.
    """
    runs = collected.runs
    group = [*statistics.TASK, "method"]
    chosen = choose_points(collected, group, runs, _SUMMARISED, on_validation=False)
    chosen = collected.in_order(chosen, "method", "place").rename(columns={"points": "point"})
    full = statistics.full_precision(runs).rename(columns={"accuracy_n": "n"})
    full = full.assign(method=REFERENCE, criterion=REFERENCE, point=REFERENCE)
    parts = []
    for task in tasks_of(runs):
        parts += [of_task(full, task), of_task(chosen, task)]
    names = ("accuracy", "accuracy_change", "size_bytes", "compression_ratio", "sparsity")
    means = [f"{name}_{part}" for name in names for part in ("mean", "half_width")]
    columns = [*group, "criterion", "point", "n", *means, *statistics.COUNTED]
    table = pd.concat(parts, ignore_index=True)[columns]
    # Counts stay integers beside the empty cells of the full-precision rows.
    return table.astype({name: "Int64" for name in ["n", *statistics.COUNTED]})


def summary_document(table: pd.DataFrame) -> rendering.Document:
    """The summary for readers: a section per task, a row per method and criterion."""
    headers = ["Method", "Operating point", "Chosen as", "Accuracy [%]", "Change [points]",
               "Size [kB]", "Ratio [–]", "Sparsity [%]", "n", "Diverged runs"]  # fmt: skip
    sections = []
    for task in tasks_of(table):
        rows = of_task(table, task)
        cells = [_summary_cells(row) for row in rows.to_dict("records")]
        # a method's counts hold for all of its rows
        for row, again in zip(cells, rows["method"].duplicated(), strict=True):
            row[-1] = "" if again else row[-1]
        sections.append(
            rendering.section(style.task_label(*task), headers, cells, names=3, repeated=1)
        )
    return rendering.Document("summary", rendering.TABLES["summary"], _SUMMARY_NOTE, sections)


def _summary_cells(row: dict) -> list[str]:
    def measure(name, factor, digits, signed=False):
        if np.isnan(row[f"{name}_mean"]):
            return rendering.EMPTY
        return _measured(row, name, factor, digits, signed)

    reference = row["method"] == REFERENCE
    if reference:
        names = ["full precision", "", ""]
    else:
        smallest = "" if row["criterion"] == "best_accuracy" else "smallest "
        names = [method_label(row["method"]), row["point"], smallest + CRITERIA[row["criterion"]]]
    return [
        *names,
        measure("accuracy", 100, 2),
        measure("accuracy_change", 100, 2, signed=True),
        measure("size_bytes", 1e-3, 2),
        measure("compression_ratio", 1, 1),
        measure("sparsity", 100, 1),
        str(row["n"]),
        "" if reference else rendering.without_result(row),
    ]


def smallest(collected: Collected) -> pd.DataFrame:
    """The smallest chosen points per task, method and tolerated drop, whatever their bit width.

    Returns
    -------
    DataFrame
        dataset, model, method, and what :func:`choose_points` says of each, for all criteria but
        the best accuracy.

    Raises
    ------
    ValueError : a column is missing, or a run occurs twice.
    """
    criteria = [name for name, drop in TOLERATED_DROP.items() if drop is not None]
    table = choose_points(collected, [*statistics.TASK, "method"], collected.runs, criteria)
    return collected.in_order(table, "method", "place").drop(columns="place")


def smallest_document(table: pd.DataFrame) -> rendering.Document:
    """The smallest networks for readers: a section per task, a row per method and drop."""
    headers = ["Method", "Chosen as", "Operating point", "Size [kB]", "Ratio [–]",
               "Change [points]"]  # fmt: skip
    sections = rendering.by_task(table, headers, _smallest_cells, names=3, repeated=1)
    note = (
        "The smallest of all operating points of a method, whatever their bit width, whose "
        "accuracy is at least that of full precision of the same seed (no degradation), or at most "
        f"0.5, 1 or 2 percentage points below it (none: no point qualifies). {_chosen_on(table)} "
        "Change: accuracy on test data minus full precision of the same seed; a drop tolerated in "
        "the choice may be exceeded there. Size: the whole decodable bitstream, 1 kB = 1000 bytes; "
        "ratio: full-precision size over it. Full precision is the best of many epochs on the "
        "same validation data, which makes every tolerated drop somewhat stricter than it reads. "
    )
    return rendering.document("smallest", table, note, sections)


def _smallest_cells(row: dict) -> list[str]:
    return [
        method_label(row["method"]),
        CRITERIA[row["criterion"]],
        row["points"],
        _measured(row, "size_bytes", 1e-3, 2, seeds=row["seeds"]),
        _measured(row, "compression_ratio", 1, 1),
        _measured(row, "accuracy_change", 100, 2, signed=True),
    ]


def operating_points(collected: Collected) -> pd.DataFrame:
    """The chosen points per task, bit width, method and criterion.

    Returns
    -------
    DataFrame
        dataset, model, bits (missing for methods without), method, and what :func:`choose_points`
        says of each.

    Raises
    ------
    ValueError : a column is missing, or a run occurs twice.
    """
    runs = collected.runs.assign(bits=collected.runs["bits"].fillna(_NO_BITS))
    table = choose_points(collected, [*statistics.TASK, "bits", "method"], runs)
    table = collected.in_order(table, "bits", "method", "place").drop(columns="place")
    table["bits"] = table["bits"].where(table["bits"] != _NO_BITS)
    return table.astype({"bits": "Int64"})


def operating_points_document(table: pd.DataFrame) -> rendering.Document:
    """The chosen points for readers: a section per task and bit width."""
    headers = ["Method", "Chosen as", "Operating point", "Accuracy [%]", "Change [points]",
               "Sparsity [%]", "Size [kB]", "Ratio [–]", "Diverged"]  # fmt: skip
    sections = []
    for task in tasks_of(table):
        for bits, rows in of_task(table, task).groupby("bits", dropna=False):
            width = "no bit width" if pd.isna(bits) else f"{bits} bit"
            cells = []
            for _, own in rows.groupby("method", sort=False):
                cells += _joined([_operating_cells(row) for row in own.to_dict("records")])
            title = f"{style.task_label(*task)}, {width}"
            sections.append(rendering.section(title, headers, cells, names=3, repeated=1))
    note = (
        f"{_chosen_on(table)} Best accuracy; smallest size at no degradation (at least full "
        "precision of the same seed) and within 0.5, 1 and 2 percentage points of it (none: no "
        "point qualifies); criteria that choose the same point share a row. Change: accuracy minus "
        "full precision of the same seed. Size: the whole decodable bitstream, 1 kB = 1000 bytes; "
        "ratio: full-precision size over it. Diverged: of all runs of the method at this bit "
        "width. "
    )
    return rendering.document("operating_points", table, note, sections)


def _joined(cells: list[list[str]]) -> list[list[str]]:
    """One method's rows, neighboring criteria that chose alike in one; its count once."""
    result = []
    for row in cells:
        if result and result[-1][2:] == row[2:]:
            result[-1][1] = f"{result[-1][1].split(' to ')[0]} to {row[1]}"
        else:
            result.append(row)
    return result[:1] + [[*row[:-1], ""] for row in result[1:]]


def _operating_cells(row: dict) -> list[str]:
    return [
        method_label(row["method"]),
        CRITERIA[row["criterion"]],
        row["points"],
        _measured(row, "accuracy", 100, 2, seeds=row["seeds"]),
        _measured(row, "accuracy_change", 100, 2, signed=True),
        _measured(row, "sparsity", 100, 1),
        _measured(row, "size_bytes", 1e-3, 2),
        _measured(row, "compression_ratio", 1, 1),
        rendering.without_result(row),
    ]


def _chosen_on(table: pd.DataFrame) -> str:
    return " ".join(_CHOSEN_ON[rule] for rule in sorted(set(table["selected_on"])))


def _measured(
    row: dict,
    name: str,
    factor: float,
    digits: int,
    signed: bool = False,
    seeds: int | None = None,
) -> str:
    """A measure of a chosen point as in :func:`rendering.measure`; a dash if there is none."""
    if row["n"] == 0:
        return rendering.EMPTY
    interval = row[f"{name}_mean"], row[f"{name}_half_width"], row["n"]
    return rendering.measure(interval, factor, digits, signed, seeds)
