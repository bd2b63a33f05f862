"""Decisions, flips and rows per class: against scikit-learn and by hand."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, classification_report, f1_score, hamming_loss

from ecqx.evaluation.agreement import class_rows, decisions, flips, hits, scorable
from ecqx.tasks.scores import accuracy_score, mean_average_precision

CLASSES = ("a", "b", "c", "d")


def draw(n=80, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits, other = torch.randn(2, n, 4, generator=generator)
    single = (logits + torch.randn(n, 4, generator=generator)).argmax(dim=1)
    many = logits + torch.randn(n, 4, generator=generator) > 0.3
    return logits, logits + 0.5 * other, single, many


def test_flips_of_classes_are_the_share_of_other_answers():
    logits, other, _, _ = draw()
    expected = np.mean(logits.numpy().argmax(1) != other.numpy().argmax(1))
    assert 0 < expected < 1
    assert flips(logits, other, multilabel=False) == pytest.approx(expected)
    assert flips(logits, 7 * logits, multilabel=False) == 0


def test_flips_of_many_labels_are_the_hamming_loss():
    logits, other, _, _ = draw()
    expected = hamming_loss(other.numpy() > 0, logits.numpy() > 0)
    assert flips(logits, other, multilabel=True) == pytest.approx(expected)
    assert flips(logits, -logits, multilabel=True) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("multilabel", [False, True])
def test_a_sample_without_finite_logits_decides_nothing(value, multilabel):
    logits, _, single, many = draw()
    broken = logits.clone()
    broken[:20, 1] = value
    assert bool((decisions(broken, multilabel)[:20] == -1).all())
    assert torch.equal(decisions(broken, multilabel)[20:], decisions(logits, multilabel)[20:])
    assert flips(broken, logits, multilabel) == pytest.approx(20 / 80)
    target = single if not multilabel else many.long().argmax(dim=1)
    assert not bool(hits(broken, target, multilabel)[:20].any())
    y = many if multilabel else single
    score = mean_average_precision if multilabel else accuracy_score
    whole, part = score(logits, y), score(scorable(broken, y), y)
    assert math.isfinite(part) and part < whole
    if not multilabel:
        assert part == pytest.approx(accuracy_score(logits[20:], y[20:]) * 60 / 80)


def test_networks_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"expected shape \(4, 3\) of the reference, got \(4, 2\)"):
        flips(torch.zeros(4, 2), torch.zeros(4, 3), multilabel=False)


def test_a_hit_is_the_class_asked_for():
    logits = torch.tensor([[2.0, 1.0, -1.0]]).repeat(3, 1)
    target = torch.tensor([0, 1, 2])
    assert hits(logits, target, multilabel=False).tolist() == [True, False, False]
    assert hits(logits, target, multilabel=True).tolist() == [True, True, False]


def test_rows_of_classes_are_scikit_learns_recalls():
    logits, other, y, _ = draw()
    rows = class_rows(logits, other, y, CLASSES)
    assert [row["class"] for row in rows] == list(CLASSES)
    for column, part in (("accuracy", logits), ("accuracy_fp32", other)):
        report = classification_report(y, part.argmax(dim=1), output_dict=True)
        for c, row in enumerate(rows):
            assert row["n"] == report[str(c)]["support"]
            assert row[column] == pytest.approx(report[str(c)]["recall"], abs=1e-12)
    assert {row["f1"] for row in rows} == {row["f1_fp32"] for row in rows} == {None}
    # weighted with their counts they give the accuracy
    total = sum(row["n"] * row["accuracy"] for row in rows) / len(y)
    assert total == pytest.approx(accuracy_score(logits, y))


def test_rows_of_many_labels_are_scikit_learns_average_precision_and_f1():
    logits, other, _, y = draw()
    rows = class_rows(logits, other, y, CLASSES)
    for suffix, part in (("", logits.numpy()), ("_fp32", other.numpy())):
        precision = average_precision_score(y.numpy(), part, average=None)
        f1 = f1_score(y.numpy(), part > 0, average=None)
        assert [row[f"accuracy{suffix}"] for row in rows] == pytest.approx(list(precision))
        assert [row[f"f1{suffix}"] for row in rows] == pytest.approx(list(f1))
    assert [row["n"] for row in rows] == y.sum(dim=0).tolist()
    mean = sum(row["accuracy"] for row in rows) / len(rows)
    assert mean == pytest.approx(mean_average_precision(logits, y))


def test_agreement_of_a_class_is_that_of_its_samples():
    logits, other, single, many = draw()
    own, reference = (decisions(part, multilabel=False) for part in (logits, other))
    rows = class_rows(logits, other, single, CLASSES)
    for c, row in enumerate(rows):
        alike = [a == b for a, b, y in zip(own, reference, single, strict=True) if y == c]
        assert 0 < row["agreement"] < 1
        assert row["agreement"] == pytest.approx(np.mean(alike))
    # weighted with their counts they give what is no flip
    total = sum(row["n"] * row["agreement"] for row in rows) / len(single)
    assert total == pytest.approx(1 - flips(logits, other, multilabel=False))
    for c, row in enumerate(class_rows(logits, other, many, CLASSES)):
        alike = [
            (a > 0) == (b > 0)
            for a, b, y in zip(logits[:, c], other[:, c], many[:, c], strict=True)
            if y
        ]
        assert row["agreement"] == pytest.approx(np.mean(alike))


def test_a_network_that_decides_nothing_agrees_on_nothing():
    logits, _, single, many = draw()
    broken = torch.full_like(logits, math.nan)
    for y in (single, many):
        assert {row["agreement"] for row in class_rows(broken, logits, y, CLASSES)} == {0}
        assert {row["agreement"] for row in class_rows(logits, 3 * logits, y, CLASSES)} == {1}


@pytest.mark.parametrize("multilabel", [False, True])
def test_a_class_without_samples_has_no_accuracy(multilabel):
    logits, other, single, many = draw()
    y = many & torch.tensor([True, True, False, True]) if multilabel else single % 2
    rows = class_rows(logits, other, y, CLASSES)
    assert rows[2]["n"] == 0 and math.isnan(rows[2]["accuracy"])
    assert math.isfinite(rows[0]["accuracy"])
