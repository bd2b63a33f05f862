"""Tables of a benchmark: each as data, Markdown and LaTeX, all made of the collected results.

A table is a module here with ``build(collected)``, which returns a DataFrame, and
``document(table)``, which says it for readers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from ecqx.results.tables import (
    agreement,
    closeness,
    comparisons,
    costs,
    equal_accuracy,
    equal_size,
    hypervolume,
    matching,
    metric_agreement,
    operating_points,
    published,
    rendering,
    sanity,
    smallest,
    summary,
)
from ecqx.results.tables.collected import Collected, Unavailable

TABLES = {
    "summary": summary,
    "smallest": smallest,
    "operating_points": operating_points,
    "equal_size": equal_size,
    "equal_accuracy": equal_accuracy,
    "comparisons": comparisons,
    "hypervolume": hypervolume,
    "costs": costs,
    "matching": matching,
    "closeness": closeness,
    "metric_agreement": metric_agreement,
    "agreement": agreement,
    "sanity": sanity,
    "published": published,
}


class Made(NamedTuple):
    """One table in its three forms; ``missing`` says why there is nothing in it, or is empty."""

    name: str
    data: pd.DataFrame
    markdown: str
    latex: str
    missing: str


def make_all(collected: Collected) -> Iterator[Made]:
    """Every table, in the order of :data:`TABLES`.

    What cannot be made from these results comes without rows and says why.
    """
    for name, module in TABLES.items():
        try:
            table, missing = module.build(collected), ""
            document = module.document(table)
        except Unavailable as reason:
            table, missing = pd.DataFrame({"missing": [str(reason)]}), str(reason)
            title = name.replace("_", " ").capitalize()
            document = rendering.Document(name, title, f"Not available: {missing}.")
        yield Made(
            name, table, rendering.to_markdown(document), rendering.to_latex(document), missing
        )
