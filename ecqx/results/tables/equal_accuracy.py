"""Size at equal accuracy: how small each method gets for a given loss of accuracy."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecqx.results import rendering, statistics
from ecqx.results.collected import Collected
from ecqx.results.rendering import method_label

DROPS = (0.0, 0.01, 0.02, 0.05)
NOTE = (
    "Size at which the front of a seed falls to full precision of that seed minus the loss, both "
    "on validation data: linear in accuracy over log size between the runs that no other run of "
    "the method dominates there. On test data: the accuracy read along the front at that size, "
    "minus full precision. A seed has no such size if its front never reaches that accuracy (not "
    "reached), or if its smallest run is still better (still above: the size would be smaller than "
    "any measured); nothing is extrapolated, and the mean is over the other seeds. Size: the whole "
    "decodable bitstream, 1 kB = 1000 bytes; ratio: full-precision size over it; both geometric "
    "means with the 95 % t-interval of the logs. "
)


def build(collected: Collected) -> pd.DataFrame:
    """Size at equal loss of accuracy over seeds.

    Returns
    -------
    DataFrame
        dataset, model, method, drop (of accuracy on validation data, as a fraction); size_bytes and
        compression_ratio as ``_geomean``, ``_low`` and ``_high``; accuracy_change (on test data, as
        a fraction) as ``_mean`` and ``_half_width``; n (seeds with a size), not_reached,
        still_above, without_front (no ok run), seeds (of the task). The four counts add up to the
        seeds that the method was run with.
    """
    runs = collected.runs
    full_of = ["accuracy_validation_fp32", "accuracy_fp32", "size_fp32_bytes"]
    statistics.require_columns(runs, ["accuracy", *full_of], "runs")
    seeds = runs.groupby([*statistics.TASK, "seed"], sort=False, observed=True)
    full = seeds[full_of].first()
    test = runs["accuracy"].to_numpy(float)
    rows = []
    for key, front in statistics.seed_fronts(runs).items():
        dataset, model, method, seed = key
        validation, accuracy, size = full.loc[(dataset, model, seed)]
        targets = validation - np.array(DROPS)
        sizes = front.size_at(targets)
        on_test = front.read(test[front.positions], sizes) - accuracy
        for drop, target, found, change in zip(DROPS, targets, sizes, on_test, strict=True):
            measured = front.size.size > 0
            rows.append(
                {
                    "dataset": dataset, "model": model, "method": method, "drop": drop,
                    "size_bytes": found, "compression_ratio": size / found,
                    "accuracy_change": change,
                    "not_reached": int(measured and target > front.validation[-1]),
                    "still_above": int(measured and target < front.validation[0]),
                    "without_front": int(not measured),
                }
            )  # fmt: skip
    table = pd.DataFrame(rows)
    keys = [*statistics.TASK, "method", "drop"]
    counts = table.groupby(keys)[["not_reached", "still_above", "without_front"]].sum()
    ratios = statistics.aggregate_ratios(table, keys, ["size_bytes", "compression_ratio"])
    ratios = ratios.rename(columns={"size_bytes_n": "n"}).drop(columns="compression_ratio_n")
    changes = statistics.aggregate(table, keys, ["accuracy_change"])
    changes = changes.drop(columns="accuracy_change_n")
    result = ratios.merge(changes, on=keys, validate="one_to_one")
    result = result.merge(counts.reset_index(), on=keys, validate="one_to_one")
    result["seeds"] = collected.seeds_of(result)
    return collected.in_order(result, "method", "drop")


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: a row per method and loss."""
    headers = ["Method", "Loss [points]", "Size [kB]", "Ratio [–]", "On test [points]",
               "Not reached", "Still above"]  # fmt: skip
    sections = rendering.by_task(table, headers, _cells, names=1, repeated=1)
    return rendering.document("equal_accuracy", table, NOTE, sections)


def _cells(row: dict) -> list[str]:
    def ratio(name):
        return tuple(row[f"{name}_{part}"] for part in ("geomean", "low", "high"))

    not_reached = row["not_reached"] + row["without_front"]
    change = row["accuracy_change_mean"], row["accuracy_change_half_width"], row["n"]
    return [
        method_label(row["method"]),
        rendering.number(row["drop"], 100, 1),
        rendering.ratio(ratio("size_bytes"), 1e-3, 2, missing=(row["n"], row["seeds"])),
        rendering.ratio(ratio("compression_ratio")),
        rendering.measure(change, 100, 2, signed=True),
        f"{not_reached} of {row['seeds']}" if not_reached else rendering.EMPTY,
        f"{row['still_above']} of {row['seeds']}" if row["still_above"] else rendering.EMPTY,
    ]
