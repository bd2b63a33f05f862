"""What each part of a method adds: the method against itself, or its like, without that part.

Exploratory: what was planned is in :mod:`ecqx.results.tables.contrasts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from ecqx.results import rendering, statistics, style
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.keys import tasks_of
from ecqx.results.tables import differences
from ecqx.results.tables.differences import ACCURACY, CONSISTENCY

# A part, a method with it, and the method that lacks it and nothing else.
PARTS = (
    ("compensation of errors", "optq", "uniform_ptq"),
    ("price of rate", "cerwu", "optq"),
    ("price of rate", "lsq_rate", "lsq"),
    ("price of entropy", "ecq", "uniform"),
    ("relevance in the price of zero", "ecqx", "ecq"),
    ("relevance in the metric", "obs_relevance", "cerwu"),
    ("learned steps", "lsq", "uniform"),
    ("choice of weights to prune", "prune", "prune_random"),
)
NOTE = (
    "Exploratory: what each part of a method adds, the method with it minus the one without it, on "
    "the same seeds. Of a variant, each word by which it differs from its method is a part. "
    + differences.NOTE
)


def build(collected: Collected) -> pd.DataFrame:
    """What every part adds to accuracy and to the closeness of maps, on every task.

    Returns
    -------
    DataFrame
        part, and the columns of :func:`ecqx.results.tables.differences.row` and
        :func:`ecqx.results.tables.differences.judged`; parts together, in the order of ``PARTS``
        and then sorted.

    Raises
    ------
    Unavailable : no method was run with and without one of its parts.
    """
    rows = []
    for task in tasks_of(collected.runs):
        here = differences.readings(collected, task, [ACCURACY])
        closeness = differences.Closeness(collected, task)
        for part, method, other in parts_of(here):
            paired = {
                ACCURACY: statistics.pair_sizes(here[method], here[other]),
                CONSISTENCY: closeness.paired(method, other),
            }
            rows += [
                {"part": part} | differences.row(collected, task, method, other, measure, pair)
                for measure, pair in paired.items()
                if pair is not None
            ]
    if not rows:
        raise Unavailable("no method was run with and without one of its parts")
    return differences.judged(rows)


def parts_of(methods: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """(part, method with it, the same without it) of the methods and variants that are there."""
    methods = style.method_order(methods)
    yield from (pair for pair in PARTS if pair[1] in methods and pair[2] in methods)
    found = []
    for name in methods:
        method, *parts = name.split(", ")
        for part in parts:
            other = ", ".join([method, *(word for word in parts if word != part)])
            if other in methods:
                found.append((part, name, other))
    yield from sorted(found, key=lambda pair: pair[0])


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: a row per part, method and measure."""
    sections = rendering.by_task(table, ("Part", *differences.HEADERS), _cells, names=4, repeated=1)
    return rendering.document("ablation", table, NOTE, sections)


def _cells(row: dict) -> list[str]:
    return [style.words(row["part"]), *differences.cells(row)]
