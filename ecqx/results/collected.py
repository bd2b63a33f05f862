"""What all tables are made of: the collected results, and what several tables derive from them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ecqx.results import files, statistics, style
from ecqx.results.variants import by_variant, variants

_EXTRA = ("predictions", "randomisation", "methods", "gains")


class Unavailable(Exception):
    """The collected results lack what a table is about; the message says what."""


@dataclass(frozen=True)
class Collected:
    """The collected tables.

    Variants of a method become methods of their own, see :mod:`ecqx.results.variants`.

    Attributes
    ----------
    runs : DataFrame, as runs.csv.
    attributions, predictions, randomisation, methods, gains : DataFrame or None, as the tables of
        these names; None if there is none.
    """

    runs: pd.DataFrame
    attributions: pd.DataFrame | None = None
    predictions: pd.DataFrame | None = None
    randomisation: pd.DataFrame | None = None
    methods: pd.DataFrame | None = None
    gains: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        # What is derived from the runs stands beside them by place, whatever their index was.
        runs = self.runs.reset_index(drop=True)
        names = variants(runs, self.methods)
        for name in ("attributions", "gains", "predictions"):
            if (table := getattr(self, name)) is not None:
                object.__setattr__(self, name, by_variant(table, names))
        object.__setattr__(self, "runs", by_variant(runs, names))

    @functools.cached_property
    def seeds(self) -> pd.Series:
        """Number of seeds by (dataset, model)."""
        return self.runs.groupby(statistics.TASK, sort=False, observed=True)["seed"].nunique()

    @functools.cached_property
    def measures(self) -> pd.DataFrame:
        """A column per (explainer, metric, signed), a row per run.

        Raises
        ------
        Unavailable : there are no attributions.
        """
        if self.attributions is None or self.attributions.empty:
            raise Unavailable("no attributions were collected")
        return statistics.measures_per_run(self.runs, self.attributions)

    @functools.cached_property
    def anchors(self) -> pd.DataFrame:
        """The measures of the anchors, seed by seed; see statistics.anchor_means."""
        if self.attributions is None or self.attributions.empty:
            raise Unavailable("no attributions were collected")
        return statistics.anchor_means(self.attributions)

    @functools.cached_property
    def at_ratios(self) -> pd.DataFrame:
        """Accuracy at common ratios, along the fronts."""
        return statistics.at_ratios(self.runs)

    @functools.cached_property
    def measures_at_ratios(self) -> pd.DataFrame:
        """Accuracy and measures of attributions at common ratios, through all runs.

        Raises
        ------
        Unavailable : there are no attributions.
        """
        curves = statistics.seed_curves(self.runs)
        return statistics.at_ratios(self.runs, self.measures, fronts=curves)

    def in_order(self, table: pd.DataFrame, *columns: str) -> pd.DataFrame:
        """``table`` with its tasks in the order of the runs, and sorted by ``columns`` in each.

        Methods, explainers and metrics take the order of legends.
        """
        orders = {
            "method": style.method_order,
            "explainer": style.explainer_order,
            "metric": style.metric_order,
        }
        tasks = {task: place for place, task in enumerate(self.seeds.index)}
        names = zip(table["dataset"], table["model"], strict=True)
        places = {"task": [tasks[name] for name in names]}
        for column in columns:
            values = table[column]
            if column in orders:
                known = {name: place for place, name in enumerate(orders[column](values), 1)}
                known[""] = 0  # no explainer comes before all
                values = values.map(known)
            places[column] = values.to_numpy()
        order = pd.DataFrame(places).sort_values(list(places), kind="stable").index
        return table.iloc[order].reset_index(drop=True)

    def seeds_of(self, table: pd.DataFrame):
        """Number of seeds of the task of each row of ``table``."""
        return self.seeds.loc[pd.MultiIndex.from_frame(table[statistics.TASK])].to_numpy()


def read(folder: str | Path) -> Collected:
    """The collected tables of a folder of results.

    Raises
    ------
    ValueError : there is no runs.csv, or a file is no table.
    """
    paths = {name: files.find(folder, name) for name in ("runs", "attributions", *_EXTRA)}
    if paths["runs"] is None:
        raise ValueError(f"{folder}: no runs.csv or runs.csv.gz, there or in tables/")
    tables = {
        name: files.read_attributions(path) if name == "attributions" else files.read(path)
        for name, path in paths.items()
        if path is not None
    }
    return Collected(**tables)
