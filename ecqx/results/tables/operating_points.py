"""Operating points in the layout of the ECQx paper: per task and bit width, what each method
reaches at its most accurate, without degradation, and with a negligible one.

Source of the layout: Becking et al., ECQx, arXiv 2109.04236, section 5.
"""

from __future__ import annotations

import pandas as pd

from ecqx.results import statistics, style
from ecqx.results.tables import rendering
from ecqx.results.tables.choice import CHOSEN_ON, CRITERIA, choose_points, measured
from ecqx.results.tables.collected import Collected, method_label, of_task, tasks_of

_NO_BITS = 999  # methods without a bit width come last


def build(collected: Collected) -> pd.DataFrame:
    """The chosen points per task, bit width, method and criterion.

    Returns
    -------
    DataFrame
        dataset, model, bits (missing for methods without), method, and what
        :func:`ecqx.results.tables.choice.choose_points` says of each.

    Raises
    ------
    ValueError
        A column is missing, or a run occurs twice.
    """
    runs = collected.runs.assign(bits=collected.runs["bits"].fillna(_NO_BITS))
    table = choose_points(collected, [*statistics.TASK, "bits", "method"], runs)
    table = collected.in_order(table, "bits", "method", "place").drop(columns="place")
    table["bits"] = table["bits"].where(table["bits"] != _NO_BITS)
    return table.astype({"bits": "Int64"})


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
    chosen_on = " ".join(CHOSEN_ON[rule] for rule in sorted(set(table["selected_on"])))
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
    diverged = f"{row['diverged']} of {row['runs']}"
    diverged += f" ({row['skipped']} skipped)" if row["skipped"] else ""
    return [
        method_label(row["method"]),
        CRITERIA[row["criterion"]],
        row["points"],
        measured(row, "accuracy", 100, 2, seeds=row["seeds"]),
        measured(row, "accuracy_change", 100, 2, signed=True),
        measured(row, "sparsity", 100, 1),
        measured(row, "size_bytes", 1e-3, 2),
        measured(row, "compression_ratio", 1, 1),
        diverged,
    ]
