"""The smallest networks: what each method reaches at any of its operating points.

The operating points by bit width, without the bit width: how small a network gets without a drop in
accuracy, and within half a point, one and two points.
"""

from __future__ import annotations

import pandas as pd

from ecqx.results import statistics, style
from ecqx.results.tables import rendering
from ecqx.results.tables.choice import CHOSEN_ON, CRITERIA, choose_points, measured
from ecqx.results.tables.collected import Collected, method_label, of_task, tasks_of


def build(collected: Collected) -> pd.DataFrame:
    """The smallest chosen points per task, method and tolerated drop.

    Returns
    -------
    DataFrame
        dataset, model, method, and what :func:`ecqx.results.tables.choice.choose_points` says of
        each, for all criteria but the best accuracy.

    Raises
    ------
    ValueError
        A column is missing, or a run occurs twice.
    """
    table = choose_points(collected, [*statistics.TASK, "method"], collected.runs)
    table = collected.in_order(table, "method", "place").drop(columns="place")
    return table[table["criterion"] != "best_accuracy"].reset_index(drop=True)


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: a row per method and tolerated drop."""
    sections = []
    for task in tasks_of(table):
        cells, breaks = [], set()
        for _, own in of_task(table, task).groupby("method", sort=False):
            breaks.add(len(cells))
            rows = [_cells(row) for row in own.to_dict("records")]
            cells += rows[:1] + [["", *row[1:]] for row in rows[1:]]
        headers = ["Method", "Chosen as", "Operating point", "Size [kB]", "Ratio [–]",
                   "Change [points]"]  # fmt: skip
        sections.append(
            rendering.Section(style.task_label(*task), headers, cells, 3, frozenset(breaks))
        )
    chosen_on = " ".join(CHOSEN_ON[rule] for rule in sorted(set(table["selected_on"])))
    note = (
        "The smallest of all operating points of a method, whatever their bit width, whose "
        "accuracy is at least that of full precision of the same seed (no degradation), or at most "
        f"0.5, 1 or 2 percentage points below it (none: no point qualifies). {chosen_on} "
        f"{rendering.interval_note(table.groupby(statistics.TASK)['seeds'].first())} Change: "
        "accuracy on test data minus full precision of the same seed; a drop tolerated in the "
        "choice may be exceeded there. Size: the whole decodable bitstream, 1 kB = 1000 bytes; "
        "ratio: full-precision size over it. Full precision is the best of many epochs on the "
        "same validation data, which makes every tolerated drop somewhat stricter than it reads."
    )
    return rendering.Document("smallest", "Smallest networks", note, sections)


def _cells(row: dict) -> list[str]:
    return [
        method_label(row["method"]),
        CRITERIA[row["criterion"]],
        row["points"],
        measured(row, "size_bytes", 1e-3, 2, seeds=row["seeds"]),
        measured(row, "compression_ratio", 1, 1),
        measured(row, "accuracy_change", 100, 2, signed=True),
    ]
