"""Published figures beside those measured here.

A published value is *verified* if it was read in the publication itself or in its abstract, and
*unverified* otherwise; the table says which. Published and measured tasks differ: only orders of
magnitude compare.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from ecqx.results import rendering, statistics, style
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.rendering import method_label
from ecqx.results.tables.chosen import CRITERIA, smallest
from ecqx.results.variants import method_of

VERIFIED, UNVERIFIED = "verified", "unverified"


class Published(NamedTuple):
    """One figure of a publication, and the criterion under which it is measured here.

    Attributes
    ----------
    method : str, the method here that it speaks of.
    quantity : str, the measure of smallest.csv that it is compared with.
    criterion : str, the criterion of smallest.csv.
    value : float
    status : str, "verified" or "unverified".
    source, scope : str, where it is published, and what it was measured on.
    """

    method: str
    quantity: str
    criterion: str
    value: float
    status: str
    source: str
    scope: str


_ECQX = "Becking et al., arXiv 2109.04236, abstract"
_ECQX_SCOPE = (
    "largest ratio reported while model performance is maintained or even improved, 2 to 5 bit; "
    "among others Speech Commands and CIFAR-10"
)
PUBLISHED = tuple(
    Published("ecqx", "compression_ratio", criterion, 103.0, VERIFIED, _ECQX, _ECQX_SCOPE)
    for criterion in ("no_degradation", "within_1_point", "within_2_points")
)
NOTE = (
    "The smallest network of the method, chosen as in that table, beside what was published; none: "
    "no point qualifies. Verified: read in the "
    "publication or its abstract; unverified: not read there. The published networks and data are "
    "others and larger: only orders of magnitude compare. Small networks hold a larger share of "
    "parameters that stay in floating point, which bounds their ratio. "
)


def build(collected: Collected, published: tuple[Published, ...] = PUBLISHED) -> pd.DataFrame:
    """Published values beside the best of each task.

    Returns
    -------
    DataFrame
        method, criterion, quantity, published, status, source, scope; dataset, model, points,
        variant (the method here, with what differs from the published settings),
        measured_geomean, measured_low, measured_high, n, seeds (missing where no point qualifies).

    Raises
    ------
    Unavailable : none of the methods was run.
    """
    table = smallest(collected)
    rows = []
    for entry in published:
        same = table["method"].map(method_of) == entry.method
        own = table[same & (table["criterion"] == entry.criterion)]
        for found in own.to_dict("records"):
            rows.append(
                entry._asdict()
                | {name: found[name] for name in (*statistics.TASK, "points", "n", "seeds")}
                | {"variant": found["method"]}
                | {
                    f"measured_{part}": found[f"{entry.quantity}_{part}"]
                    for part in ("geomean", "low", "high")
                }
            )
    if not rows:
        raise Unavailable("no method with a published figure was run")
    return pd.DataFrame(rows).rename(columns={"value": "published"})


def document(table: pd.DataFrame) -> rendering.Document:
    """One section per method: published value, its status, and each task's."""
    sections = []
    for method, rows in table.groupby("method", sort=False):
        cells = [_cells(row) for row in rows.to_dict("records")]
        headers = ["Criterion", "Published ratio [–]", "Status", "Task", "Method",
                   "Operating point", "Ratio here [–]"]  # fmt: skip
        sections.append(rendering.section(method_label(method), headers, cells, 6, repeated=3))
    sources = sorted(set(zip(table["source"], table["scope"], strict=True)))
    note = NOTE + " ".join(f"{source}: {scope}." for source, scope in sources)
    return rendering.document("published", table, note + " ", sections)


def _cells(row: dict) -> list[str]:
    measured = tuple(row[f"measured_{part}"] for part in ("geomean", "low", "high"))
    unverified = "" if row["status"] == VERIFIED else " (?)"
    return [
        CRITERIA[row["criterion"]],
        f"{row['published']:g}{unverified}",
        row["status"],
        style.task_label(row["dataset"], row["model"]),
        method_label(row["variant"]),
        row["points"],
        rendering.ratio(measured, missing=(row["n"], row["seeds"]))
        if row["n"]
        else rendering.EMPTY,
    ]
