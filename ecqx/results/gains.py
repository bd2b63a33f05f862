"""Gains of relevance as measures of a network: of its own map, and of that over full precision's.

Source: symmetric relevance gain [bluecher2024decoupling].
"""

from __future__ import annotations

import pandas as pd

from ecqx.results.keys import RUN, require_columns

MEASURES = {"gain": "Relevance gain", "evidence": "Own evidence"}
_KEYS = [*RUN, "explainer", "signed"]


def by_map(gains: pd.DataFrame) -> pd.DataFrame:
    """A row per run (or anchor), explainer and sign of the maps.

    Parameters
    ----------
    gains : DataFrame, as gains.csv.

    Returns
    -------
    DataFrame
        RUN, explainer, signed; own, the gain of the network by its own map; on_reference, of full
        precision by the network's map; reference_map, of the network by full precision's map.

    Raises
    ------
    ValueError : a column is missing.
    """
    require_columns(gains, [*_KEYS, "network", "map", "mean"], "gains")
    names = {("own", "own"): "own", ("reference", "own"): "on_reference",
             ("own", "reference"): "reference_map"}  # fmt: skip
    pairs = list(zip(gains["network"], gains["map"], strict=True))
    found = gains.assign(gain=[names[pair] for pair in pairs])
    found = found.pivot(index=_KEYS, columns="gain", values="mean")
    return found.reindex(columns=list(names.values())).reset_index().rename_axis(columns=None)


def as_measures(gains: pd.DataFrame) -> pd.DataFrame:
    """Gains in the form of attributions.csv, under the names in ``MEASURES``.

    Parameters
    ----------
    gains : DataFrame, as gains.csv.

    Returns
    -------
    DataFrame
        RUN, explainer, metric, subset ("all"), signed, mean. ``gain``: of the network by its own
        map. ``evidence``: that minus the gain of the network by full precision's map; full
        precision itself has none.

    Raises
    ------
    ValueError : a column is missing.
    """
    found = by_map(gains)
    found = found.assign(gain=found["own"], evidence=found["own"] - found["reference_map"])
    found = found.melt(_KEYS, list(MEASURES), var_name="metric", value_name="mean")
    itself = (found["method"] == "identical") & (found["metric"] == "evidence")
    return found[~itself].assign(subset="all").reset_index(drop=True)
