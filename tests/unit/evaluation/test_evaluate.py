"""Evaluation of one network: rows, anchors, collapsed networks, several labels per sample."""

import copy
import math

import pytest
import torch

from ecqx.evaluation.complexity import COMPLEXITIES
from ecqx.evaluation.consistency import METRICS, metric
from ecqx.evaluation.evaluate import (
    evaluate_network,
    explain_all,
    inapplicable,
    make_reference,
)
from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.evaluation.localisation import LOCALISATIONS
from ecqx.evaluation.subset import evaluation_pairs
from ecqx.tasks.data import Split
from ecqx.tasks.models import mlp_gsc, residual_cnn, small_vgg
from ecqx.tasks.scores import accuracy_score, mean_average_precision

CLASSES = 10
# Fast ones that disagree: signed and dense, never negative and coarse.
FEW = ["gradient_x_input", "grad_cam"]


def split_of(shape, n=60, mask=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(CLASSES, (n,), generator=generator)
    x = torch.randn(n, *shape, generator=generator) + y[:, None, None, None] / 5
    inside = torch.rand(n, *shape[1:], generator=generator) < 0.2 if mask else None
    return Split(x, y, inside)


def build(module, shape, seed=0):
    torch.manual_seed(seed)
    return module.build(shape, CLASSES)


def reference_of(model, split, samples, explainers=FEW, score=accuracy_score):
    pairs = evaluation_pairs(split, samples, 1)
    return make_reference(model, split, split, *pairs, explainers, score)


@pytest.fixture(scope="module")
def small():
    """Digits-like task: split with masks, network, reference on 30 samples."""
    split, model = split_of((1, 8, 8), mask=True), build(residual_cnn, (1, 8, 8)).eval()
    return split, model, reference_of(model, split, 30)


def pick(rows, **keys):
    (row,) = [row for row in rows if all(row[key] == value for key, value in keys.items())]
    return row


def test_explain_all_in_batches_equals_all_at_once(small):
    split, model, _ = small
    whole = explain_all(model, split.x, split.y, FEW)
    parts = explain_all(model, split.x, split.y, FEW, batch_size=7)
    assert list(whole) == list(parts) == FEW
    for name in whole:
        torch.testing.assert_close(whole[name], parts[name], rtol=1e-3, atol=1e-4)


def test_every_explainer_that_applies_has_maps_and_the_others_reasons():
    split, model = split_of((1, 15, 49), n=4), build(mlp_gsc, (1, 15, 49))
    reasons = inapplicable(model, EXPLAINERS)
    assert reasons["grad_cam"] == "the model has no convolutional feature map"
    maps = explain_all(model, split.x, split.y, EXPLAINERS, background=split.x[:2])
    assert list(maps) == [name for name in EXPLAINERS if name not in reasons]
    assert {part.shape for part in maps.values()} == {(4, 15, 49)}


def test_all_networks_are_explained_against_the_background_of_the_reference(small):
    split, model, _ = small
    pairs, names = evaluation_pairs(split, 30, 1), ["expected_gradients"]
    background = split_of((1, 8, 8), n=3, seed=4).x
    reference = make_reference(model, split, split, *pairs, names, accuracy_score, background)
    found = evaluate_network(model, split, reference, names, accuracy_score)["maps"]
    expected = EXPLAINERS[names[0]].fn(model, split.x[pairs[0]], pairs[1], background)
    torch.testing.assert_close(found[names[0]], expected, rtol=1e-3, atol=1e-5)
    bare = make_reference(model, split, split, *pairs, FEW, accuracy_score)
    with pytest.raises(ValueError, match=r"expected a background .* got \(0, 1, 8, 8\)"):
        evaluate_network(model, split, bare, names, accuracy_score)


def test_identical_network_is_perfectly_consistent(small):
    split, model, reference = small
    result = evaluate_network(copy.deepcopy(model), split, reference, FEW, accuracy_score)
    assert result["accuracy"] == reference.accuracy
    assert result["flips"] == 0
    assert torch.equal(result["logits"], reference.logits)
    rows = [row for row in result["rows"] if row["metric"] in METRICS and row["n"]]
    assert len(rows) >= len(FEW) * len(METRICS) * 2
    for row in rows:
        best = 1 if METRICS[row["metric"]].higher_is_better else 0
        assert row["mean"] == pytest.approx(best, abs=1e-9), row
        assert row["degenerate"] == 0
    for name, maps in result["maps"].items():
        assert torch.equal(maps, reference.maps[name])


def test_complexity_is_that_of_the_networks_own_maps(small):
    """Of the positive part where signed, else of magnitudes; a degenerate map counts."""
    split, _, reference = small
    result = evaluate_network(
        build(residual_cnn, (1, 8, 8), 1), split, reference, FEW, accuracy_score, ["gini"]
    )
    for name, maps in result["maps"].items():
        for signed in (True, False):
            row = pick(result["rows"], explainer=name, subset="all", signed=signed)
            values = COMPLEXITIES["gini"].fn(maps if signed else maps.abs())
            assert (row["metric"], row["n"]) == ("gini", 30)
            assert row["mean"] == pytest.approx(values.mean().item())


def test_accuracy_and_flips_of_another_network(small):
    split, _, reference = small
    model = build(residual_cnn, (1, 8, 8), 1).eval()
    result = evaluate_network(model, split, reference, [], accuracy_score)
    with torch.no_grad():
        own, full = model(split.x).argmax(dim=1), small[1](split.x).argmax(dim=1)
    assert result["accuracy"] == pytest.approx((own == split.y).double().mean().item())
    assert result["flips"] == pytest.approx((own != full).double().mean().item())
    assert 0 < result["flips"] <= 1
    assert reference.accuracy == pytest.approx((full == split.y).double().mean().item())
    assert torch.equal(reference.correct, (full == split.y)[reference.index])


def test_rows_cover_every_combination_once(small):
    split, _, reference = small
    model = build(residual_cnn, (1, 8, 8), 1)
    rows = evaluate_network(model, split, reference, FEW, accuracy_score)["rows"]
    keys = {(r["explainer"], r["metric"], r["subset"], r["signed"]) for r in rows}
    metrics = len(METRICS) + len(LOCALISATIONS) + len(COMPLEXITIES)
    assert len(keys) == len(rows) == len(FEW) * metrics * 2 * 2
    assert list(rows[0]) == [
        "explainer", "metric", "subset", "signed", "mean", "std", "n", "degenerate",
    ]  # fmt: skip
    assert {type(r["signed"]) for r in rows} == {bool}


def test_localisation_needs_masks_and_the_skipped_explainer_has_no_rows():
    split, model = split_of((1, 15, 49)), build(mlp_gsc, (1, 15, 49))
    reference = reference_of(model, split, 20)
    result = evaluate_network(model, split, reference, FEW, accuracy_score)
    assert {row["metric"] for row in result["rows"]} == {*METRICS, *COMPLEXITIES}
    assert {row["explainer"] for row in result["rows"]} == {"gradient_x_input"}


@pytest.mark.parametrize("value", [0.0, torch.nan])
def test_collapsed_network_is_evaluated(small, value):
    split, model, reference = small
    collapsed = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in collapsed.parameters():
            parameter.fill_(value)
    result = evaluate_network(collapsed, split, reference, FEW, accuracy_score)
    expected = 0.0 if math.isnan(value) else (split.y == 0).double().mean().item()
    assert result["accuracy"] == pytest.approx(expected)
    if math.isnan(value):
        assert result["flips"] == 1
    share = split.mask[reference.index].double().mean().item()
    for row in result["rows"]:
        if row["subset"] == "all":
            assert row["degenerate"] == row["n"] > 0
            if row["metric"] in METRICS:
                assert row["mean"] == METRICS[row["metric"]].degenerate, row
            elif row["metric"] in COMPLEXITIES:
                constant = {"gini": 0, "entropy": math.log(64)}[row["metric"]]
                assert row["mean"] == pytest.approx(constant), row
            else:
                chance = 0.5 if row["metric"] == "auc" else share
                assert row["mean"] == pytest.approx(chance), row


def test_network_comes_back_untouched():
    """A network of its own: in a shared one an earlier evaluation would hide a changed layout."""
    split, model = split_of((1, 8, 8)), build(residual_cnn, (1, 8, 8)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    strides = [parameter.stride() for parameter in model.parameters()]
    reference = reference_of(model, split, 10)
    evaluate_network(model, split, reference, FEW, accuracy_score)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert strides == [parameter.stride() for parameter in model.parameters()]
    assert all(module.training for module in model.modules())


def test_anchors_are_ordered_identical_retrained_random():
    """Two trained networks agree more with each other than either with an untrained one."""
    split = split_of((1, 8, 8), n=120)

    def trained(seed):
        model = build(residual_cnn, (1, 8, 8), seed)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(25):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(split.x), split.y).backward()
            optimizer.step()
        return model

    model = trained(0)
    reference = reference_of(model, split, 60, ["gradient_x_input"])
    models = {
        "identical": model,
        "retrained": trained(1),
        "random": build(residual_cnn, (1, 8, 8), 2),
    }
    keys = {"metric": "cosine", "subset": "all", "signed": True}

    def consistency(network):
        arguments = (split, reference, ["gradient_x_input"], accuracy_score, ["cosine"])
        return pick(evaluate_network(network, *arguments)["rows"], **keys)["mean"]

    identical, retrained, random = map(consistency, models.values())
    assert identical == pytest.approx(1, abs=1e-9)
    assert identical > retrained + 0.1 > random + 0.2


def test_a_new_metric_needs_one_function(small):
    split, model, reference = small

    def distance(a, b):
        return (a - b).abs().mean(dim=(1, 2))

    try:
        metric(label="", unit="1", higher_is_better=False, degenerate=1.0, source="test")(distance)
        rows = evaluate_network(model, split, reference, FEW, accuracy_score)["rows"]
        row = pick(rows, explainer=FEW[0], metric="distance", subset="all", signed=True)
        assert row["mean"] == 0
    finally:
        del METRICS["distance"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"explainers": ["grad_can"]}, "unknown: grad_can; known: .*grad_cam, grad_cam_mid"),
        ({"explainers": FEW, "metrics": ["cos"]}, "unknown: cos; known: pearson, .*auc"),
    ],
)
def test_unknown_names_are_refused(small, arguments, message):
    split, model, reference = small
    with pytest.raises(ValueError, match=message):
        evaluate_network(model, split, reference, score=accuracy_score, **arguments)


def test_reference_that_does_not_fit_is_refused(small):
    split, model, reference = small
    partial = reference_of(model, split, 30, FEW[:1])
    with pytest.raises(ValueError, match="the reference has no maps of grad_cam"):
        evaluate_network(model, split, partial, FEW, accuracy_score)
    short = Split(split.x[:20], split.y[:20])
    with pytest.raises(ValueError, match="the reference is of 60 samples, the split has 20"):
        evaluate_network(model, short, reference, FEW, accuracy_score)


def test_channels_last_copy_gives_the_maps_of_the_network_itself():
    split, model = split_of((1, 32, 32), n=20), build(small_vgg, (1, 32, 32))
    index = torch.arange(20)
    reference = make_reference(model, split, split, index, split.y, FEW, accuracy_score)
    for name, maps in explain_all(model, split.x, split.y, FEW).items():
        scale = maps.abs().max().item()
        torch.testing.assert_close(reference.maps[name], maps, rtol=0, atol=1e-4 * scale)


@pytest.fixture(scope="module")
def several():
    """Samples with two classes of four at most, each in a place of its own; and two networks."""
    generator = torch.Generator().manual_seed(0)
    n, size = 40, 16
    y = torch.rand(n, 4, generator=generator) < 0.4
    y[0], y[1] = False, torch.tensor([True, False, True, False])
    mask = torch.zeros(n, size, size, dtype=torch.uint8)
    for c, (row, column) in enumerate([(0, 0), (0, 8), (8, 0), (8, 8)]):
        mask[y[:, c], row : row + 6, column : column + 6] = c + 1
    x = torch.randn(n, 1, size, size, generator=generator) + mask[:, None] / 2
    torch.manual_seed(0)
    models = [residual_cnn.build((1, size, size), 4).eval() for _ in range(2)]
    split = Split(x, y, mask)
    reference = reference_of(models[0], split, 25, score=mean_average_precision)
    return split, models, reference


def test_every_label_of_a_sample_is_explained(several):
    split, (model, _), reference = several
    index, target = reference.index, reference.target
    assert bool(split.y[index, target].all()) and len(index) == int(split.y[index.unique()].sum())
    for name in FEW:
        one_by_one = torch.cat(
            [EXPLAINERS[name].fn(model, split.x[i][None], c[None])
             for i, c in zip(index, target, strict=True)]
        )  # fmt: skip
        scale = one_by_one.abs().max().item()
        torch.testing.assert_close(reference.maps[name], one_by_one, rtol=0, atol=1e-4 * scale)
    with torch.no_grad():
        logits = model(split.x)
    torch.testing.assert_close(reference.logits, logits, rtol=1e-4, atol=1e-5)
    assert torch.equal(reference.correct, logits[index, target] > 0)
    assert reference.accuracy == pytest.approx(mean_average_precision(logits, split.y), abs=1e-6)


def test_several_labels_are_scored_and_localised_one_by_one(several):
    split, (_, model), reference = several
    result = evaluate_network(model, split, reference, FEW, mean_average_precision)
    with torch.no_grad():
        own, full = model(split.x), several[1][0](split.x)
    assert result["accuracy"] == pytest.approx(mean_average_precision(own, split.y), abs=1e-6)
    assert result["flips"] == pytest.approx(((own > 0) != (full > 0)).double().mean().item())
    index, target = reference.index, reference.target
    keys = {"explainer": FEW[0], "metric": "auc", "signed": True}
    row = pick(result["rows"], subset="all", **keys)
    mask = torch.stack([split.mask[i] == c + 1 for i, c in zip(index, target, strict=True)])
    expected = LOCALISATIONS["auc"].fn(result["maps"][FEW[0]], mask)
    assert row["n"] == int((~expected.isnan()).sum()) > 0
    assert row["mean"] == pytest.approx(expected.nanmean().item())
    both = (own[index, target] > 0) & (full[index, target] > 0) & ~expected.isnan()
    row = pick(result["rows"], subset="both_correct", **keys)
    assert row["n"] == int(both.sum())
    assert 0 < row["n"] < len(index)
    assert row["mean"] == pytest.approx(expected[both].mean().item())
