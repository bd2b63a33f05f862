"""Measures of maps sample by sample, and the rows that are their means."""

import math

import numpy as np
import pytest
import torch

from ecqx.evaluation.complexity import COMPLEXITIES
from ecqx.evaluation.consistency import METRICS
from ecqx.evaluation.localisation import LOCALISATIONS
from ecqx.evaluation.measures import (
    attribution_rows,
    attribution_samples,
    long_table,
    measure_maps,
)


def rows_of(maps, reference, correct, reference_correct, mask=None, metrics=None):
    measures = measure_maps(maps, reference, mask, metrics)
    return attribution_rows(measures, correct, reference_correct)


def pick(rows, **keys):
    (row,) = [row for row in rows if all(row[key] == value for key, value in keys.items())]
    return row


def test_moments_subsets_and_magnitudes():
    """Three samples by hand: cosine of (1, 0), (1, 1) and (-1, 0) with (1, 0)."""
    b = torch.tensor([[[1.0, 0.0]]]).repeat(3, 1, 1)
    a = torch.tensor([[[1.0, 0.0]], [[1.0, 0.5]], [[-1.0, 0.0]]])
    correct, reference_correct = torch.tensor([1, 1, 1]).bool(), torch.tensor([1, 1, 0]).bool()
    rows = rows_of({"e": a}, {"e": b}, correct, reference_correct, metrics=["cosine"])
    c = 1 / math.sqrt(1.25)
    signed = pick(rows, subset="all", signed=True)
    assert signed["mean"] == pytest.approx(c / 3)
    assert signed["std"] == pytest.approx(torch.tensor([1, c, -1]).std().item(), rel=1e-6)
    assert signed["n"] == 3
    assert pick(rows, subset="all", signed=False)["mean"] == pytest.approx((2 + c) / 3)
    both = pick(rows, subset="both_correct", signed=True)
    assert (both["mean"], both["n"]) == (pytest.approx((1 + c) / 2), 2)


def test_empty_subset_and_single_sample_have_undefined_moments():
    maps = {"e": torch.randn(3, 4, 4)}
    one, none = torch.tensor([True, False, False]), torch.zeros(3, dtype=torch.bool)
    row = pick(rows_of(maps, maps, one, one, metrics=["ssim"]), subset="both_correct", signed=True)
    assert (row["mean"], row["n"]) == (pytest.approx(1), 1)
    assert math.isnan(row["std"])
    row = pick(
        rows_of(maps, maps, none, one, metrics=["ssim"]),
        subset="both_correct",
        signed=True,
    )
    assert row["n"] == 0
    assert math.isnan(row["mean"])


def test_degenerate_reference_is_left_out_and_degenerate_network_is_not():
    reference, own = torch.randn(4, 5, 5), torch.randn(4, 5, 5)
    reference[0] = 0
    reference[1, 0, 0] = torch.nan
    own[2] = 0
    own[3] = reference[3]
    yes = torch.ones(4, dtype=torch.bool)
    rows = rows_of({"e": own}, {"e": reference}, yes, yes, metrics=list(METRICS))
    for row in rows:
        entry = METRICS[row["metric"]]
        best = 1 if entry.higher_is_better else 0
        expected = (best + entry.degenerate) / 2
        assert (row["mean"], row["n"]) == (pytest.approx(expected), 2), row
        assert row["degenerate"] == 1


def test_undefined_masks_are_left_out():
    maps, yes = {"e": torch.randn(3, 5, 5)}, torch.ones(3, dtype=torch.bool)
    mask = torch.zeros(3, 5, 5, dtype=torch.bool)
    mask[0, 0], mask[1, 1] = True, True
    rows = rows_of(maps, maps, yes, yes, mask, metrics=list(LOCALISATIONS))
    assert {row["n"] for row in rows} == {2}
    assert all(math.isfinite(row["mean"]) and row["degenerate"] == 0 for row in rows)


def test_maps_without_positive_relevance_are_degenerate_to_what_looks_at_it_alone():
    maps, yes = {"e": -torch.rand(3, 5, 5) - 0.1}, torch.ones(3, dtype=torch.bool)
    maps["e"][0] *= -1
    mask = torch.zeros(3, 5, 5, dtype=torch.bool)
    mask[:, :2] = True
    rows = rows_of(maps, maps, yes, yes, mask)
    for row in rows:
        alone = row["metric"] in ("relevance_mass", *COMPLEXITIES) and row["signed"]
        assert row["degenerate"] == (2 if alone else 0), row


def test_a_map_that_says_nothing_has_a_complexity_that_counts():
    maps = {"grad_cam": torch.rand(3, 4, 4)}
    maps["grad_cam"][1] = 0
    yes = torch.ones(3, dtype=torch.bool)
    nothing = {"grad_cam": torch.zeros(3, 4, 4)}
    row = rows_of(maps, nothing, yes, yes, metrics=["entropy"])[0]
    assert (row["n"], row["degenerate"]) == (3, 1)


def test_samples_are_what_rows_are_the_means_of():
    rng = torch.Generator().manual_seed(0)
    n = 12
    own = {name: torch.randn(n, 5, 5, generator=rng) for name in ("a", "b")}
    reference = {name: maps + torch.randn(n, 5, 5, generator=rng) for name, maps in own.items()}
    own["a"][1], reference["b"][2] = 0, 0  # of no use to one row each
    mask = torch.rand(n, 5, 5, generator=rng) < 0.3
    mask[3] = False
    correct, reference_correct = (torch.rand(n, generator=rng) < 0.7 for _ in range(2))
    measures = measure_maps(own, reference, mask)
    pairs = {"sample": np.arange(100, 100 + n), "target": np.arange(n) % 3}
    found = attribution_samples(measures, pairs, correct & reference_correct)
    assert {len(column) for column in found.values()} == {n * len(measures)}
    rows = attribution_rows(measures, correct, reference_correct)
    assert len(rows) == 2 * len(measures) and len(rows) > 40
    for row in rows:
        members = np.logical_and.reduce(
            [found[key] == row[key] for key in ("explainer", "metric", "signed")]
        )
        assert (found["sample"][members] == pairs["sample"]).all()
        assert (found["target"][members] == pairs["target"]).all()
        if row["subset"] == "both_correct":
            members &= found["both_correct"]
        members &= ~np.isnan(found["value"])
        values = found["value"][members].astype(float)
        assert (len(values), found["degenerate"][members].sum()) == (row["n"], row["degenerate"])
        assert values.mean() == pytest.approx(row["mean"], rel=1e-5, abs=1e-6)
        assert values.std(ddof=1) == pytest.approx(row["std"], rel=1e-4, abs=1e-6)


def test_without_measures_there_are_no_samples():
    pairs = {"sample": np.arange(3)}
    table = long_table(pairs, [], [])
    assert {name: len(column) for name, column in table.items()} == {"sample": 0, "value": 0}
