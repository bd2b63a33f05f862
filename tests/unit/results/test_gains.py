"""Gains of relevance as measures of a network."""

import pandas as pd
import pytest

from ecqx.results import gains

RUN = {"dataset": "d", "model": "m", "point": "p", "seed": 0, "explainer": "e", "signed": True}


def rows(method, own, on_reference, reference_map):
    of = {("own", "own"): own, ("reference", "own"): on_reference,
          ("own", "reference"): reference_map}  # fmt: skip
    return [
        RUN | {"method": method, "network": network, "map": of_map, "mean": value}
        for (network, of_map), value in of.items()
    ]


def test_measures_by_hand():
    table = pd.DataFrame(rows("identical", 0.5, 0.5, 0.5) + rows("ecq", 0.3, 0.2, 0.35))
    found = gains.as_measures(table).set_index(["method", "metric"])["mean"]
    expected = {("identical", "gain"): 0.5, ("ecq", "gain"): 0.3, ("ecq", "evidence"): -0.05}
    assert found.to_dict() == pytest.approx(expected)
    by_map = gains.by_map(table).set_index("method")
    assert by_map.loc["ecq", ["own", "on_reference", "reference_map"]].tolist() == [0.3, 0.2, 0.35]


def test_of_nothing_there_is_nothing():
    table = pd.DataFrame(rows("ecq", 0.3, 0.2, 0.35)).iloc[:0]
    assert gains.as_measures(table).empty


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="gains: missing column.*network"):
        gains.as_measures(pd.DataFrame(rows("ecq", 0.3, 0.2, 0.35)).drop(columns="network"))
