"""Which operating point of a method is taken, under what it may cost in accuracy: three tables.

Points are chosen as a user would: each seed chooses its own point on validation data, and all
numbers are those of the chosen points on test data, so that the interval over seeds holds the
chance in the choice as well. ``summary`` and ``smallest`` take a method's points of any bit width,
``operating_points`` those of each, in the layout of the ECQx paper.

Source of that layout: ECQx [becking2021ecqx, section 5].
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ecqx.results import rendering, statistics, style
from ecqx.results.collected import Collected
from ecqx.results.keys import of_task, require_columns, tasks_of
from ecqx.results.rendering import method_label

TOLERATED_DROP = {
    "best_accuracy": None,
    "no_degradation": 0.0,
    "within_1_point": 0.01,
    "within_2_points": 0.02,
}
CRITERIA = {
    "best_accuracy": "best accuracy",
    "no_degradation": "no degradation",
    "within_1_point": "within 1 point",
    "within_2_points": "within 2 points",
}
MEASURES = ("accuracy", "accuracy_change", "sparsity", "size_bytes")
RATIO = "compression_ratio"
REFERENCE = "full_precision"
NONE = "none"
_SUMMARISED = ("best_accuracy", "within_1_point", "within_2_points")
_MEANS = [f"{name}_{part}" for name in MEASURES for part in ("mean", "half_width")]
_MEANS += [f"{RATIO}_{part}" for part in ("geomean", "low", "high")]
_LISTED = ("accuracy_change", "size_bytes")  # whose values are given seed by seed
_ROUNDING = 1e-9  # a drop of exactly one point counts as within one point, whatever its last bit
_NO_BITS = 999  # methods without a bit width come last
_HOW_CHOSEN = (
    "Each seed chooses its own point on validation data; all numbers are on test data. In brackets "
    "behind a point: how many seeds chose it. Criteria, on validation data: best accuracy; "
    "smallest size at no degradation (at least full precision of the same seed), and within 1 and "
    "2 percentage points of it (none: no point of any seed qualifies). On test data a tolerated "
    "drop may be exceeded: that is the price of choosing. Full precision is the best of many "
    "epochs on the same validation data, which makes every tolerated drop somewhat stricter than "
    "it reads. Change: accuracy minus full precision of the same seed. Size: the whole decodable "
    "bitstream, 1 kB = 1000 bytes; ratio: full-precision size over it, geometric mean and 95 % "
    "t-interval of the logs. In braces: the values of the seeds, in their order, since a choice "
    "among few points is no measurement with normal errors. "
)


def choose_points(
    collected: Collected,
    keys: list[str],
    runs: pd.DataFrame,
    criteria: Sequence[str] = tuple(TOLERATED_DROP),
) -> pd.DataFrame:
    """The chosen points of each group and criterion, seed by seed on validation accuracy.

    Criteria: ``best_accuracy`` (ties: the smaller size), and the smallest size whose validation
    accuracy is at least that of full precision of the same seed (``no_degradation``) or at most
    0.01, 0.02 below it (ties: the more accurate).

    Parameters
    ----------
    collected : Collected
    keys : list of str, columns that make a group, the task's among them.
    runs : DataFrame, ``collected.runs``, in which no key is missing.
    criteria : sequence of str

    Returns
    -------
    DataFrame
        The keys, criterion, place (of the criterion, from 0), points ("none", or each chosen point
        with its number of seeds), n (seeds with a qualifying point), seeds (of the task),
        ``<measure>_mean`` and ``<measure>_half_width`` of accuracy, accuracy_change, sparsity and
        size_bytes over these n; compression_ratio as ``_geomean``, ``_low`` and ``_high``;
        accuracy_change_values and size_bytes_values (of the seeds in their order, separated by
        spaces); runs, diverged, skipped, failed (counts of the group).

    Raises
    ------
    ValueError : a column is missing, or a run occurs twice.
    """
    runs = _scored(runs)
    groups = statistics.count_statuses(runs, keys)
    parts = []
    for place, criterion in enumerate(criteria):
        chosen = _choose(runs, TOLERATED_DROP[criterion], keys).sort_values("seed", kind="stable")
        means = statistics.aggregate(chosen, keys, MEASURES)
        ratios = statistics.aggregate_ratios(chosen, keys, [RATIO])
        means = means.merge(ratios, on=keys, validate="one_to_one")
        grouped = chosen.groupby(keys, observed=True)
        means = means.merge(grouped["point"].agg(_named).rename("points").reset_index(), on=keys)
        for name in _LISTED:
            listed = grouped[name].agg(rendering.listed).rename(f"{name}_values")
            means = means.merge(listed.reset_index(), on=keys)
        part = groups.merge(means, on=keys, how="left", validate="one_to_one")
        parts.append(part.assign(criterion=criterion, place=place))
    table = pd.concat(parts, ignore_index=True).rename(columns={"accuracy_n": "n"})
    table["points"] = table["points"].fillna(NONE)
    table["n"] = table["n"].fillna(0).astype(int)
    table["seeds"] = collected.seeds_of(table)
    names = ["criterion", "place", "points", "n", "seeds"]
    values = [f"{name}_values" for name in _LISTED]
    return table[[*keys, *names, *_MEANS, *values, *statistics.COUNTED]]


def _scored(runs: pd.DataFrame) -> pd.DataFrame:
    """The finished and the other runs, with ``accuracy_change`` and with ``score``.

    That is validation accuracy minus full precision's, NaN where there is nothing to choose.
    """
    needed = [*statistics.RUN, "bits", "status", *MEASURES[2:], RATIO, "accuracy", "accuracy_fp32",
              "accuracy_validation", "accuracy_validation_fp32"]  # fmt: skip
    require_columns(runs, needed, "runs")
    statistics.require_distinct_runs(runs)
    known = (runs["status"] == "ok") & runs["accuracy"].notna() & runs["size_bytes"].notna()
    score = runs["accuracy_validation"] - runs["accuracy_validation_fp32"]
    change = runs["accuracy"] - runs["accuracy_fp32"]
    return runs.assign(accuracy_change=change, score=score.where(known))


def _choose(runs: pd.DataFrame, drop: float | None, keys: list[str]) -> pd.DataFrame:
    """The run of the chosen point per group and seed."""
    found = runs[runs["score"].notna()]
    order, ascending = ["score", "size_bytes", "point"], [False, True, True]
    if drop is not None:
        found = found[found["score"] >= -drop - _ROUNDING]
        order, ascending = ["size_bytes", "score", "point"], [True, False, True]
    return found.sort_values(order, ascending=ascending).drop_duplicates([*keys, "seed"])


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
        dataset, model, method, and what :func:`choose_points` says of each; accuracies are
        fractions. Each task opens with a row of method ``"full_precision"``.

    Raises
    ------
    ValueError : a column is missing, or a run occurs twice.
    """
    runs = collected.runs
    group = [*statistics.TASK, "method"]
    chosen = choose_points(collected, group, runs, _SUMMARISED)
    chosen = collected.in_order(chosen, "method", "place").drop(columns="place")
    full = statistics.full_precision(runs).rename(columns={"accuracy_n": "n"})
    full = full.assign(method=REFERENCE, criterion=REFERENCE, points=REFERENCE)
    full["seeds"] = collected.seeds_of(full)
    parts = []
    for task in tasks_of(runs):
        parts += [of_task(full, task), of_task(chosen, task)]
    table = pd.concat(parts, ignore_index=True)[chosen.columns]
    # Counts stay integers beside the empty cells of the full-precision rows.
    return table.astype({name: "Int64" for name in ["n", *statistics.COUNTED]})


def summary_document(table: pd.DataFrame) -> rendering.Document:
    """The summary for readers: a section per task, a row per method and criterion."""
    headers = ["Method", "Chosen as", "Operating point", "Accuracy [%]", "Change [points]",
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
    note = f"{_HOW_CHOSEN}Diverged runs: of all runs of the method on this task. "
    return rendering.document("summary", table, note, sections)


def _summary_cells(row: dict) -> list[str]:
    reference = row["method"] == REFERENCE
    if reference:
        names = ["full precision", "", ""]
    else:
        smallest = "" if row["criterion"] == "best_accuracy" else "smallest "
        names = [method_label(row["method"]), smallest + CRITERIA[row["criterion"]], row["points"]]
    return [
        *names,
        _measured(row, "accuracy", 100, 2),
        rendering.EMPTY if reference else _measured(row, "accuracy_change", 100, 2, signed=True),
        _measured(row, "size_bytes", 1e-3, 2),
        rendering.EMPTY if reference else _ratio(row),
        rendering.EMPTY if reference else _measured(row, "sparsity", 100, 1),
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
    note = f"The smallest of a method's points, whatever their bit width. {_HOW_CHOSEN}"
    return rendering.document("smallest", table, note, sections)


def _smallest_cells(row: dict) -> list[str]:
    return [
        method_label(row["method"]),
        CRITERIA[row["criterion"]],
        row["points"],
        _values(row, "size_bytes", 1e-3, 2, seeds=row["seeds"]),
        _ratio(row),
        _values(row, "accuracy_change", 100, 2, signed=True),
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
        f"{_HOW_CHOSEN}Criteria that choose the same points share a row. Diverged: of all runs of "
        "the method at this bit width. "
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
        _ratio(row),
        rendering.without_result(row),
    ]


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


def _values(
    row: dict, name: str, factor: float, digits: int, signed: bool = False, seeds: int | None = None
) -> str:
    """A measure as :func:`_measured`, and its values of the seeds in braces."""
    text = _measured(row, name, factor, digits, signed, seeds)
    if row["n"] == 0:
        return text
    return f"{text} {rendering.braced(row[f'{name}_values'], factor, digits, signed)}"


def _ratio(row: dict) -> str:
    if row["n"] == 0:
        return rendering.EMPTY
    return rendering.ratio(tuple(row[f"{RATIO}_{part}"] for part in ("geomean", "low", "high")))
