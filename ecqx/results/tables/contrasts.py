"""The comparisons that the benchmark was made for, each with one primary measure.

They are planned, and adjusted among themselves: all of them, on all tasks of the results, are one
family. Everything else that the tables compare is exploratory.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ecqx.results import keys, rendering, statistics, style
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.keys import of_task, tasks_of
from ecqx.results.tables import differences
from ecqx.results.tables.differences import ACCURACY, CONSISTENCY
from ecqx.results.tables.matching import pairs
from ecqx.results.variants import method_of

# Which method is compared with which by accuracy at equal size: what each of them adds.
AT_EQUAL_SIZE = (
    ("ecq", "uniform"),
    ("ecqx", "ecq"),
    ("optq", "uniform_ptq"),
    ("cerwu", "optq"),
    ("cerwu", "nncodec"),
    ("obs_relevance", "cerwu"),
    ("obs_relevance", "obs_relevance, relevance shuffled"),
    ("allocate", "cerwu"),
    ("allocate, sensitivity lrp", "allocate, sensitivity shuffled"),
    ("lsq", "uniform"),
    ("lsq_rate", "ecq"),
    ("ecq", "prune"),
    ("prune", "prune_random"),
)
# And by the closeness of its maps to those of full precision, besides methods that match maps.
CLOSER = (
    ("ecqx", "ecq"),
    ("cerwu", "nncodec"),
    ("obs_relevance", "cerwu"),
    ("obs_relevance", "obs_relevance, relevance shuffled"),
)
TRAINED, UNTRAINED = "best trained", "best untrained"
EPOCHS = keys.parameter_column("epochs_factor")
NOTE = (
    "The questions that were asked beforehand, first method minus second, on the same seeds. "
    + differences.NOTE
    + "Best trained, best untrained: at each ratio and seed, the method of that kind with the best "
    "accuracy on validation data, without variants of methods. Uniform with more epochs: of about "
    "the computing time of ECQx. "
)


def build(collected: Collected) -> pd.DataFrame:
    """The planned contrasts of every task whose methods were run.

    Returns
    -------
    DataFrame, see :func:`ecqx.results.tables.differences.row` and
        :func:`ecqx.results.tables.differences.judged`.

    Raises
    ------
    Unavailable : no two methods of a planned contrast were run.
    """
    rows = [
        differences.row(collected, task, *planned)
        for task in tasks_of(collected.runs)
        for planned in _planned(collected, task)
    ]
    if not rows:
        raise Unavailable("no two methods of a planned contrast were run on the same task")
    return differences.judged(rows)


def _planned(
    collected: Collected, task: tuple[str, str]
) -> Iterator[tuple[str, str, str, statistics.Paired]]:
    """(method, other, measure, what is paired) of each contrast whose methods were run."""
    here = differences.readings(collected, task, [ACCURACY, "accuracy_validation"])
    longer = [("ecqx", name) for name in _longer(of_task(collected.runs, task), "uniform")]
    for method, other in (*AT_EQUAL_SIZE, *longer):
        if method in here and other in here:
            yield method, other, ACCURACY, statistics.pair_sizes(here[method], here[other])
    matched = pairs(here)
    # variants of a method with matching ask further questions
    matching = [(name, matched[name]) for name in style.method_order(matched) if ", " not in name]
    closeness = differences.Closeness(collected, task)
    for method, other in (*CLOSER, *matching):
        if method in here and other in here:
            paired = closeness.paired(method, other)
            if paired is not None:
                yield method, other, CONSISTENCY, paired
    trained = statistics.trained(of_task(collected.runs, task))
    # variants are not of the budget that all methods share, or were tried for one method alone
    best = [_best([own for name, own in here.items() if trained.get(name) is kind and
                   ", " not in name]) for kind in (True, False)]  # fmt: skip
    if all(best):
        yield TRAINED, UNTRAINED, ACCURACY, statistics.pair_sizes(*best)


def _longer(runs: pd.DataFrame, method: str) -> list[str]:
    """Variants of the method that had more epochs than the budget, and differ in nothing else."""
    if EPOCHS not in runs.columns:
        return []
    found = runs.loc[runs[EPOCHS] > 1, "method"].unique()
    return [name for name in found if method_of(name) == method and name.count(", ") == 1]


def _best(readings: list[statistics.Readings]) -> statistics.Readings | None:
    """At each ratio and seed what the best method on validation data has."""
    if not readings:
        return None
    seeds = readings[0].seeds
    for own in readings[1:]:
        seeds = np.intersect1d(seeds, own.seeds)
    stack = np.stack([own.values[np.isin(own.seeds, seeds)] for own in readings])
    score = np.where(np.isfinite(stack[..., 0]), stack[..., 1], -np.inf)
    chosen = np.nan_to_num(score, nan=-np.inf).argmax(axis=0)
    values = np.take_along_axis(stack, chosen[None, :, :, None], axis=0)[0]
    return statistics.Readings(seeds, readings[0].ratios, values)


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: a row per contrast."""
    sections = rendering.by_task(table, differences.HEADERS, differences.cells, names=3)
    return rendering.document("contrasts", table, NOTE, sections)
