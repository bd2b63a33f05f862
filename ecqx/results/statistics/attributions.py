"""The measures of attributions, as columns beside the runs they belong to."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecqx.results import keys
from ecqx.results.keys import ANCHORS, RUN, TASK

MEASURE = ["explainer", "metric", "signed"]
_NEEDED = [*RUN, *MEASURE, "subset", "mean"]


def measures_per_run(runs: pd.DataFrame, attributions: pd.DataFrame) -> pd.DataFrame:
    """Mean over all samples of every measure, a row per row of ``runs``, in its order.

    Parameters
    ----------
    runs, attributions : DataFrame, as runs.csv and attributions.csv.

    Returns
    -------
    DataFrame
        Its columns are tuples (explainer, metric, signed), sorted; NaN where a run lacks the
        measure.

    Raises
    ------
    ValueError : a column is missing, a run or a measure of a run occurs twice, or attributions are
        given for a run that is not among ``runs``.
    """
    keys.require_columns(runs, RUN, "runs")
    keys.require_columns(attributions, _NEEDED, "attributions")
    keys.require_distinct_runs(runs)
    anchor = attributions["method"].isin(ANCHORS)
    rows = attributions.loc[(attributions["subset"] == "all") & ~anchor, [*RUN, *MEASURE, "mean"]]
    # Text as categories, which large tables come with, would be compared by their sets.
    text = {name: object for name in RUN if name != "seed"}
    places = runs[RUN].astype(text).assign(place=np.arange(len(runs)))
    rows = rows.astype(text).merge(places, on=RUN, how="left")
    if (lost := rows["place"].isna()).any():
        run = "/".join(map(str, rows.loc[lost, RUN].iloc[0]))
        raise ValueError(f"attributions: {run} is not among the runs")
    measures = rows.groupby(MEASURE, observed=True, sort=True).indices
    table = np.full((len(runs), len(measures)), np.nan)
    place, mean = rows["place"].to_numpy(int), rows["mean"].to_numpy(float)
    for column, (measure, own) in enumerate(measures.items()):
        if np.unique(place[own]).size < own.size:
            raise ValueError(f"attributions: {measure} occurs twice for a run")
        table[place[own], column] = mean[own]
    return pd.DataFrame(table, columns=pd.Index(list(measures), tupleize_cols=False))


def anchor_means(attributions: pd.DataFrame) -> pd.DataFrame:
    """Mean over all samples of every measure of the anchors, seed by seed.

    Returns
    -------
    DataFrame
        dataset, model, seed, explainer, metric, signed, and a column per anchor: identical,
        retrained, random (NaN where it is missing).
    """
    keys.require_columns(attributions, _NEEDED, "attributions")
    rows = attributions[(attributions["subset"] == "all") & attributions["method"].isin(ANCHORS)]
    index = [*TASK, "seed", *MEASURE]
    text = {name: object for name in index if name not in ("seed", "signed")}
    rows = rows[[*index, "method", "mean"]].astype(text | {"method": object})
    if rows.duplicated([*index, "method"]).any():
        raise ValueError("attributions: a measure occurs twice for an anchor")
    wide = rows.pivot(index=index, columns="method", values="mean")
    return wide.reindex(columns=list(ANCHORS)).reset_index().rename_axis(columns=None)
