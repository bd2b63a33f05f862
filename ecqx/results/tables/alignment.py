"""Do maps change where the function changes? Rank correlation over operating points."""

from __future__ import annotations

import math

import pandas as pd

from ecqx.results import rendering, statistics, style
from ecqx.results.collected import Collected, Unavailable

# Column of the runs -> how it is called.
_CHANGES = {"logit_distance": "Distance of logits", "flips": "Flips"}
_FEWEST_RUNS = 4  # of fewer, ranks say next to nothing
NOTE = (
    "Spearman's correlation over the operating points of all methods, seed by seed, of the change "
    "of a network (mean distance of its logits from full precision's; share of flipped "
    "predictions) and the change of its signed maps (1 - Pearson): near 1 if maps change where, "
    "and only where, the function does. "
)


def build(collected: Collected) -> pd.DataFrame:
    """Alignment of each explainer with the function, over seeds.

    Source: after Hedström et al. [hedstrom2025gef], who perturb a network themselves.

    Returns
    -------
    DataFrame
        dataset, model, explainer, signed, change ("logit_distance" or "flips"); correlation as
        ``_mean``, ``_half_width`` and ``_n`` over the seeds that have at least four networks;
        runs (networks that are ok, fewest of any seed); seeds (of the task).

    Raises
    ------
    Unavailable : Pearson's correlation of maps, or the change of networks, was not measured.
    """
    runs = collected.runs
    changes = [name for name in _CHANGES if name in runs.columns]
    measures = [measure for measure in collected.measures.columns if measure[1] == "pearson"]
    if not changes or not measures:
        raise Unavailable("neither Pearson's correlation of maps nor distances of logits were kept")
    rows = []
    ok = runs["status"] == "ok"
    for keys, own in runs[ok].groupby([*statistics.TASK, "seed"], sort=False):
        for explainer, metric, signed in measures:
            moved = 1 - collected.measures[explainer, metric, signed].loc[own.index]
            for change in changes:
                pairs = pd.DataFrame({"map": moved, "function": own[change].astype(float)}).dropna()
                enough = len(pairs) >= _FEWEST_RUNS
                rows.append(
                    dict(zip([*statistics.TASK, "seed"], keys, strict=True))
                    | {"explainer": explainer, "signed": signed, "change": change}
                    | {"runs": len(pairs), "correlation": math.nan}
                    | ({"correlation": pairs.corr("spearman").iloc[0, 1]} if enough else {})
                )
    long = pd.DataFrame(rows)
    index = [*statistics.TASK, "explainer", "signed", "change"]
    # an explainer that a task does not have
    long = long[long.groupby(index)["runs"].transform("max") > 0]
    table = statistics.aggregate(long, index, ["correlation"])
    fewest = long.groupby(index)["runs"].min().reset_index()
    table = table.merge(fewest, on=index, validate="one_to_one")
    table["seeds"] = collected.seeds_of(table)
    table["place"] = table["change"].map(list(_CHANGES).index)
    return collected.in_order(table, "explainer", "signed", "place").drop(columns="place")


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: a row per explainer and kind of change, of signed maps."""
    shown = table[table["signed"].astype(bool)]
    headers = ["Explainer", "Change of the network", "Correlation", "Networks"]
    sections = rendering.by_task(shown, headers, _cells, names=2, repeated=1)
    return rendering.document("alignment", table, NOTE, sections)


def _cells(row: dict) -> list[str]:
    interval = tuple(row[f"correlation_{part}"] for part in ("mean", "half_width", "n"))
    return [
        style.label(row["explainer"]),
        _CHANGES[row["change"]],
        rendering.measure(interval, 1, 3, seeds=row["seeds"]),
        f"{row['runs']}",
    ]
