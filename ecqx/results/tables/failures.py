"""The runs without a result: which they are, how they ended, and why."""

from __future__ import annotations

import textwrap

import pandas as pd

from ecqx.results import keys, rendering, statistics
from ecqx.results.collected import Collected
from ecqx.results.rendering import method_label

_LONGEST_REASON = 120  # characters; failures.csv has all of it
NOTE = (
    "Runs that gave no network to measure, grouped over the seeds that ended alike. Diverged: "
    "training left the finite numbers. Failed: the method or its evaluation raised an error. "
    "Skipped: the method does not apply to the task. Runs: how many, of all runs of that operating "
    "point."
)
NO_FAILURES = "Every run ended with a result: none diverged, failed or was skipped."


def build(collected: Collected) -> pd.DataFrame:
    """Runs that are not ok, by what happened to them.

    Returns
    -------
    DataFrame
        dataset, model, method, point, status, reason (empty if none was recorded), seeds
        (separated by spaces), count (those runs), runs (all of the operating point). Without rows
        if every run is ok.

    Raises
    ------
    ValueError : a column is missing, or a run occurs twice.
    """
    runs = collected.runs
    keys.require_columns(runs, [*keys.RUN, "status"], "runs")
    keys.require_distinct_runs(runs)
    reason = runs["reason"].fillna("") if "reason" in runs.columns else ""
    runs = runs.assign(reason=reason, place=pd.factorize(runs["point"])[0])
    cell = [*keys.POINT, "place", "status", "reason"]
    lost = runs[runs["status"] != "ok"].sort_values("seed")
    groups = lost.groupby(cell, sort=True, observed=True)["seed"]
    table = groups.agg(seeds=lambda own: " ".join(map(str, own)), count="size").reset_index()
    counts = statistics.count_statuses(runs, keys.POINT)[[*keys.POINT, "runs"]]
    table = table.merge(counts, on=keys.POINT, validate="many_to_one")
    return collected.in_order(table, "method", "place", "status").drop(columns="place")


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: a row per operating point, status and reason."""
    headers = ["Method", "Operating point", "Status", "Reason", "Seeds", "Runs"]
    sections = rendering.by_task(table, headers, _cells, names=5, repeated=1)
    note = NOTE if sections else NO_FAILURES
    return rendering.Document("failures", keys.TABLES["failures"], note, sections)


def _cells(row: dict) -> list[str]:
    reason = textwrap.shorten(row["reason"], _LONGEST_REASON, placeholder=" …")
    return [
        method_label(row["method"]),
        row["point"],
        row["status"],
        reason or rendering.EMPTY,
        row["seeds"].replace(" ", ", "),
        f"{row['count']} of {row['runs']}",
    ]
