"""Evaluation of one network: subset, rows, anchors, collapsed networks."""

import copy
import math

import pytest
import torch

from ecqx.evaluation.consistency import METRICS, metric
from ecqx.evaluation.evaluate import (
    anchor_rows,
    attribution_rows,
    evaluate_network,
    evaluation_subset,
    explain_all,
    make_reference,
)
from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.tasks.data import Split
from ecqx.tasks.models import mlp_gsc, residual_cnn, small_vgg

CLASSES = 10


def split_of(shape, n=60, mask=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(CLASSES, (n,), generator=generator)
    x = torch.randn(n, *shape, generator=generator) + y[:, None, None, None] / 5
    inside = torch.rand(n, *shape[1:], generator=generator) < 0.2 if mask else None
    return Split(x, y, inside)


def build(module, shape, seed=0):
    torch.manual_seed(seed)
    return module.build(shape, CLASSES)


@pytest.fixture(scope="module")
def small():
    """Digits-like task: split with masks, network, reference on 30 samples."""
    split, model = split_of((1, 8, 8), mask=True), build(residual_cnn, (1, 8, 8))
    index = evaluation_subset(split, 30, seed=1)
    return split, model, make_reference(model, split, index, EXPLAINERS)


def pick(rows, **keys):
    (row,) = [row for row in rows if all(row[key] == value for key, value in keys.items())]
    return row


def test_subset_is_balanced_seeded_and_nested():
    y = torch.tensor([0] * 50 + [1] * 30 + [2] * 4)
    split = Split(torch.zeros(84, 1, 2, 2), y)
    index = evaluation_subset(split, 30, seed=5)
    assert y[index].bincount().tolist() == [13, 13, 4]
    assert y[index[:12]].bincount().tolist() == [4, 4, 4]
    assert sorted(y[index[:3]].tolist()) == [0, 1, 2]
    assert torch.equal(index, evaluation_subset(split, 30, seed=5))
    assert torch.equal(index, evaluation_subset(split, 60, seed=5)[:30])
    assert not torch.equal(index, evaluation_subset(split, 30, seed=6))
    assert sorted(evaluation_subset(split, 1000, seed=5).tolist()) == list(range(84))
    with pytest.raises(ValueError, match="samples: expected at least 1, got 0"):
        evaluation_subset(split, 0, seed=5)


def test_explain_all_in_batches_equals_all_at_once(small):
    split, model, _ = small
    whole = explain_all(model, split.x, split.y, EXPLAINERS, batch_size=60)
    parts = explain_all(model, split.x, split.y, EXPLAINERS, batch_size=7)
    assert list(whole) == list(parts) == list(EXPLAINERS)
    for name in whole:
        torch.testing.assert_close(whole[name], parts[name], rtol=1e-3, atol=1e-4)


def test_identical_network_is_perfectly_consistent(small):
    split, model, reference = small
    result = evaluate_network(copy.deepcopy(model), split, reference, EXPLAINERS)
    assert result["accuracy"] == reference.accuracy
    rows = [row for row in result["rows"] if row["metric"] in METRICS and row["n"]]
    assert len(rows) >= 3 * 4 * 2
    for row in rows:
        assert row["mean"] == pytest.approx(1, abs=1e-9), row
    for name, maps in result["maps"].items():
        assert torch.equal(maps, reference.maps[name])


def test_rows_cover_every_combination_once(small):
    split, _, reference = small
    rows = evaluate_network(build(residual_cnn, (1, 8, 8), 1), split, reference, EXPLAINERS)["rows"]
    keys = {(r["explainer"], r["metric"], r["subset"], r["signed"]) for r in rows}
    assert len(keys) == len(rows) == 3 * (4 + 2) * 2 * 2
    assert set(rows[0]) == {"explainer", "metric", "subset", "signed", "mean", "std", "n"}
    assert {type(r["signed"]) for r in rows} == {bool}


def test_localisation_needs_masks_and_the_skipped_explainer_has_no_rows():
    split, model = split_of((1, 15, 49)), build(mlp_gsc, (1, 15, 49))
    reference = make_reference(model, split, torch.arange(20), EXPLAINERS)
    result = evaluate_network(model, split, reference, EXPLAINERS)
    assert {row["metric"] for row in result["rows"]} == set(METRICS)
    assert {row["explainer"] for row in result["rows"]} == {"lrp", "gradient_x_input"}
    assert result["explainers_skipped"] == {
        "grad_cam": "the model has no convolutional feature map"
    }
    assert result["maps"]["lrp"].shape == (20, 15, 49)


def test_moments_subsets_and_magnitudes():
    """Three samples by hand: cosine of (1, 0), (1, 1) and (-1, 0) with (1, 0)."""
    b = torch.tensor([[[1.0, 0.0]]]).repeat(3, 1, 1)
    a = torch.tensor([[[1.0, 0.0]], [[1.0, 0.5]], [[-1.0, 0.0]]])
    correct, reference_correct = torch.tensor([1, 1, 1]).bool(), torch.tensor([1, 1, 0]).bool()
    rows = attribution_rows({"e": a}, {"e": b}, correct, reference_correct, metrics=["cosine"])
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
    row = pick(
        attribution_rows(maps, maps, one, one, metrics=["ssim"]), subset="both_correct", signed=True
    )
    assert (row["mean"], row["n"]) == (pytest.approx(1), 1)
    assert math.isnan(row["std"])
    row = pick(
        attribution_rows(maps, maps, none, one, metrics=["ssim"]),
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
    rows = attribution_rows({"e": own}, {"e": reference}, yes, yes, metrics=list(METRICS))
    for row in rows:
        assert (row["mean"], row["n"]) == (pytest.approx(0.5), 2), row


def test_undefined_masks_are_left_out():
    maps, yes = {"e": torch.randn(3, 5, 5)}, torch.ones(3, dtype=torch.bool)
    mask = torch.zeros(3, 5, 5, dtype=torch.bool)
    mask[0, 0], mask[1, 1] = True, True
    rows = attribution_rows(maps, maps, yes, yes, mask, metrics=["auc", "pointing_game"])
    assert {row["n"] for row in rows} == {2}
    assert all(math.isfinite(row["mean"]) for row in rows)


@pytest.mark.parametrize("value", [0.0, torch.nan])
def test_collapsed_network_is_evaluated(small, value):
    split, model, reference = small
    collapsed = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in collapsed.parameters():
            parameter.fill_(value)
    result = evaluate_network(collapsed, split, reference, EXPLAINERS)
    expected = 0.0 if math.isnan(value) else (split.y == 0).double().mean().item()
    assert result["accuracy"] == pytest.approx(expected)
    assert result["degenerate"] == dict.fromkeys(EXPLAINERS, 30)
    for row in result["rows"]:
        if row["subset"] == "all":
            assert row["n"] > 0
            chance = 0.5 if row["metric"] == "auc" else 0.0
            if row["metric"] != "pointing_game":
                assert row["mean"] == chance, row
            else:
                share = split.mask[reference.index].double().mean().item()
                assert row["mean"] == pytest.approx(share)


def test_network_comes_back_untouched():
    """A network of its own: in a shared one an earlier evaluation would hide a changed layout."""
    split, model = split_of((1, 8, 8)), build(residual_cnn, (1, 8, 8)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    strides = [parameter.stride() for parameter in model.parameters()]
    reference = make_reference(model, split, torch.arange(10), EXPLAINERS)
    evaluate_network(model, split, reference, EXPLAINERS)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert strides == [parameter.stride() for parameter in model.parameters()]
    assert all(module.training for module in model.modules())


def test_anchors_are_ordered_identical_retrained_random():
    """Two trained networks agree more with each other than either with an untrained one."""
    split = split_of((1, 8, 8), n=120)
    index = evaluation_subset(split, 60, seed=0)

    def trained(seed):
        model = build(residual_cnn, (1, 8, 8), seed)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(25):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(split.x), split.y).backward()
            optimizer.step()
        return model

    model = trained(0)
    reference = make_reference(model, split, index, ["gradient_x_input"])
    models = {
        "identical": model,
        "retrained": trained(1),
        "random": build(residual_cnn, (1, 8, 8), 2),
    }
    rows = anchor_rows(models, split, reference, ["gradient_x_input"], ["cosine"])
    assert {row["point"] for row in rows} == {"anchor"}
    keys = {"metric": "cosine", "subset": "all", "signed": True}
    identical, retrained, random = (pick(rows, method=name, **keys)["mean"] for name in models)
    assert identical == pytest.approx(1, abs=1e-9)
    assert identical > retrained + 0.1 > random + 0.2


def test_a_new_metric_needs_one_function(small):
    split, model, reference = small

    def distance(a, b):
        return (a - b).abs().mean(dim=(1, 2))

    try:
        metric(unit="1", higher_is_better=False, degenerate=1.0, source="test")(distance)
        result = evaluate_network(model, split, reference, EXPLAINERS)
        row = pick(result["rows"], explainer="lrp", metric="distance", subset="all", signed=True)
        assert row["mean"] == 0
    finally:
        del METRICS["distance"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"explainers": ["lrpp"]}, "unknown: lrpp; known: lrp, grad_cam, gradient_x_input"),
        ({"explainers": ["lrp"], "metrics": ["cos"]}, "unknown: cos; known: cosine, .*auc"),
    ],
)
def test_unknown_names_are_refused(small, arguments, message):
    split, model, reference = small
    with pytest.raises(ValueError, match=message):
        evaluate_network(model, split, reference, **arguments)


def test_reference_that_does_not_fit_is_refused(small):
    split, model, reference = small
    partial = make_reference(model, split, reference.index, ["lrp"])
    with pytest.raises(ValueError, match="the reference has no maps of grad_cam"):
        evaluate_network(model, split, partial, ["lrp", "grad_cam"])
    short = Split(split.x[:20], split.y[:20])
    with pytest.raises(ValueError, match=r"the reference uses sample \d+, the split has 20"):
        evaluate_network(model, short, reference, ["lrp"])


def test_channels_last_copy_gives_the_maps_of_the_network_itself():
    split, model = split_of((1, 32, 32), n=20), build(small_vgg, (1, 32, 32))
    reference = make_reference(model, split, torch.arange(20), EXPLAINERS)
    for name, maps in explain_all(model, split.x, split.y, EXPLAINERS).items():
        scale = maps.abs().max().item()
        torch.testing.assert_close(reference.maps[name], maps, rtol=0, atol=1e-4 * scale)
