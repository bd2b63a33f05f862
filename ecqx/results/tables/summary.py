"""Summary: best accuracy and smallest sizes near full precision, per task and method.

Operating points are chosen on their *means over seeds*, never seed by seed, which would pick the
luckiest point of each seed. The choice is made on test accuracy all the same: it describes the
front that a method reached and is not the accuracy of a model tuned on validation data.
"""

from __future__ import annotations

import math

import pandas as pd

from ecqx.results import statistics, style
from ecqx.results.tables import rendering
from ecqx.results.tables.collected import Collected, method_label, of_task, tasks_of

REFERENCE = "full_precision"
NONE = "none"
CRITERIA = {
    REFERENCE: "full precision",
    "best_accuracy": "best accuracy",
    "within_1_point": "smallest within 1 point",
    "within_2_points": "smallest within 2 points",
}
_TOLERATED_DROP = {"within_1_point": 0.01, "within_2_points": 0.02}
_ROUNDING = 1e-9  # a drop of exactly one point counts as within one point, whatever its last bit
_MEASURES = ("accuracy", "accuracy_change", "size_bytes", "compression_ratio", "sparsity")

_HEADERS = (
    "Method",
    "Operating point",
    "Chosen as",
    "Accuracy [%]",
    "Change [points]",
    "Size [kB]",
    "Ratio [–]",
    "Sparsity [%]",
    "n",
    "Diverged runs",
)
NOTE = (
    "Mean ± half width of the 95 % t-interval over n seeds (n/a below two seeds). Per method: the "
    "operating point of best mean accuracy, and the smallest mean size among the points whose "
    "mean accuracy is at most 1 or 2 percentage points below full precision of the same seeds "
    "(none: no point qualifies). Points are chosen on the mean test accuracy: this describes the "
    "front that was reached, it is not a model tuned on validation data. Points with a diverged, "
    "skipped or missing value are not eligible. Change: accuracy minus full precision of the same "
    "seed. Size: the whole decodable bitstream, 1 kB = 1000 bytes; ratio: full-precision size "
    "over it. Diverged runs: of all runs of the method on this task."
)


def build(collected: Collected) -> pd.DataFrame:
    """Best accuracy and smallest sizes near full precision, per task and method.

    Operating points are compared by their means over seeds:

    - ``best_accuracy``: the point of highest mean accuracy (ties: the smaller);
    - ``within_1_point``, ``within_2_points``: the point of smallest mean size among those whose
      mean accuracy is at most 0.01 or 0.02 below the mean full-precision accuracy of the same
      seeds (ties: the more accurate).

    Choosing on the test mean is descriptive; see the head of this module. Only complete points
    (every seed ok) are eligible: the mean over the seeds that survived would flatter.

    Returns
    -------
    DataFrame
        dataset, model, method, criterion, point (``"none"`` where no point qualifies), n (seeds),
        ``<measure>_mean`` and ``<measure>_half_width`` of accuracy, accuracy_change (both as
        fractions), size_bytes, compression_ratio and sparsity; runs, diverged, skipped (counts over
        all points of the method). Each task opens with a row of method ``"full_precision"``.
    """
    runs = collected.runs
    points = statistics.aggregate_points(runs)
    rows = []
    for reference in statistics.full_precision(runs).to_dict("records"):
        task = {key: reference[key] for key in statistics.TASK}
        rows.append(
            task
            | {
                "method": REFERENCE,
                "criterion": REFERENCE,
                "point": REFERENCE,
                "n": reference["accuracy_n"],
                "accuracy_mean": reference["accuracy_mean"],
                "accuracy_half_width": reference["accuracy_half_width"],
                "size_bytes_mean": reference["size_bytes_mean"],
                "size_bytes_half_width": reference["size_bytes_half_width"],
            }
        )
        here = points[(points["dataset"] == task["dataset"]) & (points["model"] == task["model"])]
        for method in style.method_order(here["method"]):
            own = here[here["method"] == method]
            counts = {key: int(own[key].sum()) for key in ("runs", "diverged", "skipped")}
            for criterion in CRITERIA:
                if criterion != REFERENCE:
                    chosen = _choose(own[own["complete"]], criterion)
                    rows.append(task | {"method": method, "criterion": criterion} | chosen | counts)
    measures = [f"{name}_{part}" for name in _MEASURES for part in ("mean", "half_width")]
    columns = [*statistics.TASK, "method", "criterion", "point", "n", *measures]
    counts = ["runs", "diverged", "skipped"]
    frame = pd.DataFrame(rows, columns=[*columns, *counts])
    # Counts stay integers beside the empty cells of the full-precision rows.
    return frame.astype({name: "Int64" for name in ["n", *counts]})


def _choose(points: pd.DataFrame, criterion: str) -> dict:
    """The chosen point's columns of the summary row."""
    if criterion in _TOLERATED_DROP:
        change = points["accuracy_change_mean"]
        points = points[change >= -_TOLERATED_DROP[criterion] - _ROUNDING]
        order, ascending = ["size_bytes_mean", "accuracy_mean", "point"], [True, False, True]
    else:
        order, ascending = ["accuracy_mean", "size_bytes_mean", "point"], [False, True, True]
    if points.empty:
        return {"point": NONE, "n": 0}
    best = points.sort_values(order, ascending=ascending).iloc[0]
    measures = {
        f"{name}_{part}": best[f"{name}_{part}"]
        for name in _MEASURES
        for part in ("mean", "half_width")
    }
    return {"point": best["point"], "n": int(best["accuracy_n"])} | measures


def document(table: pd.DataFrame) -> rendering.Document:
    """The summary for readers, a section per task."""
    sections = []
    for task in tasks_of(table):
        rows = of_task(table, task)
        first = ~rows["method"].duplicated()
        sections.append(
            rendering.Section(
                style.task_label(*task),
                _HEADERS,
                [_cells(row, new) for row, new in zip(rows.to_dict("records"), first, strict=True)],
                names=3,
                breaks=frozenset(place for place, new in enumerate(first) if new),
            )
        )
    return rendering.Document("summary", "Summary", NOTE, sections)


def _cells(row: dict, first: bool) -> list[str]:
    """Formatted cells of a row; the method and its counts are written once per method."""
    reference = row["method"] == REFERENCE
    diverged = "" if reference else f"{row['diverged']} of {row['runs']}"
    if not reference and row["skipped"]:
        diverged += f" ({row['skipped']} skipped)"

    def measure(name, factor, digits, signed=False):
        mean, half_width = row[f"{name}_mean"], row[f"{name}_half_width"]
        if math.isnan(mean):
            return rendering.EMPTY
        return rendering.measure((mean, half_width, row["n"]), factor, digits, signed)

    name = CRITERIA[REFERENCE] if reference else method_label(row["method"])
    return [
        name if first else "",
        "" if reference else row["point"],
        "" if reference else CRITERIA[row["criterion"]],
        measure("accuracy", 100, 2),
        measure("accuracy_change", 100, 2, signed=True),
        measure("size_bytes", 1e-3, 2),
        measure("compression_ratio", 1, 1),
        measure("sparsity", 100, 1),
        str(row["n"]),
        diverged if first else "",
    ]
