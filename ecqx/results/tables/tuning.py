"""Which learning rate each method would choose on validation data, and what finding it costs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecqx.results import keys, rendering, statistics
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.rendering import method_label
from ecqx.results.variants import method_of

RATE = keys.parameter_column("learning_rate")
NOTE = (
    "Every trained method was run at the same operating points with each learning rate; the other "
    "settings are those of the task's budget. Accuracy: minus full precision of the same seed, "
    "mean over the operating points of a seed. Chosen: the best mean on validation data over "
    "seeds; accuracy on test data stands beside it and chooses nothing. Points that diverged or "
    "failed with any rate count with none of them. Cost: processor time of all runs of the method "
    "on the task over that of the runs with the chosen rate. "
)


def build(collected: Collected) -> pd.DataFrame:
    """Accuracy by learning rate, per task and method.

    Returns
    -------
    DataFrame
        dataset, model, method, learning_rate; points (compared), validation_change and
        accuracy_change (fractions) as ``_mean``, ``_half_width`` and ``_n``; chosen (whether the
        rate is the method's best on validation data); train_s (of all runs with that rate), cost
        (train_s of all rates over that of the chosen one); seeds (of the task).

    Raises
    ------
    Unavailable : no method was run with several learning rates.
    """
    runs = collected.runs
    if RATE not in runs.columns or runs[RATE].nunique() < 2:
        raise Unavailable("no method was run with several learning rates")
    runs = runs[runs[RATE].notna()]
    runs = runs.assign(method=runs["method"].map(method_of), learning_rate=runs[RATE].astype(float))
    ok = runs["status"] == "ok"
    runs["validation_change"] = runs["accuracy_validation"] - runs["accuracy_validation_fp32"]
    runs["accuracy_change"] = runs["accuracy"] - runs["accuracy_fp32"]
    runs["setting"] = _settings(runs)
    group = [*statistics.TASK, "method"]
    # compared where every rate and seed has a result
    whole = ok.groupby([runs[key] for key in [*group, "setting"]]).transform("all")
    rates = runs.groupby(group)["learning_rate"].transform("nunique")
    seen = runs.groupby([*group, "setting"])["learning_rate"].transform("nunique")
    compared = runs[whole & (seen == rates) & (rates > 1)]
    cell = [*group, "learning_rate"]
    changes = ["validation_change", "accuracy_change"]
    by_seed = compared.groupby([*cell, "seed"])[changes].mean().reset_index()
    table = statistics.aggregate(by_seed, cell, changes)
    points = compared.groupby(cell)["setting"].nunique().rename("points").reset_index()
    spent = runs.groupby(cell)["train_s"].sum().reset_index()
    table = table.merge(points, on=cell, how="left").merge(spent, on=cell, how="left")
    if table.empty:
        raise Unavailable("no operating point has a result with every learning rate")
    best = table.groupby(group)["validation_change_mean"].idxmax()
    table["chosen"] = table.index.isin(best)
    total = table.groupby(group)["train_s"].transform("sum")
    own = table["train_s"].where(table["chosen"]).groupby([table[key] for key in group])
    table["cost"] = total / own.transform("max")
    table["seeds"] = collected.seeds_of(table)
    return collected.in_order(table, "method", "learning_rate")


def _settings(runs: pd.DataFrame) -> pd.Series:
    """What tells operating points apart beside the learning rate, as text."""
    others = [column for column in keys.parameter_columns(runs.columns) if column != RATE]
    if not others:
        return pd.Series("", index=runs.index)
    return runs[others].map(str).agg(" ".join, axis=1)


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: a row per method and learning rate."""
    headers = ["Method", "Learning rate [–]", "On validation [points]", "On test [points]",
               "Chosen", "Time [s]", "Cost of the search", "Points", "n"]  # fmt: skip
    sections = rendering.by_task(table, headers, _cells, names=1, repeated=1)
    return rendering.document("tuning", table, NOTE, sections)


def _cells(row: dict) -> list[str]:
    def change(name):
        interval = tuple(row[f"{name}_change_{part}"] for part in ("mean", "half_width", "n"))
        return rendering.measure(interval, 100, 2, signed=True, seeds=row["seeds"])

    return [
        method_label(row["method"]),
        f"{row['learning_rate']:g}",
        change("validation"),
        change("accuracy"),
        "yes" if row["chosen"] else rendering.EMPTY,
        rendering.number(row["train_s"], digits=1),
        f"{row['cost']:.1f} times" if row["chosen"] and np.isfinite(row["cost"]) else "",
        str(row["points"]),
        str(row["accuracy_change_n"]),
    ]
