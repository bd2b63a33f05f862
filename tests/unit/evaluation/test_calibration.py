"""Calibration error: equal to torchmetrics', by hand, and at its ends."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_calibration_error,
)

from ecqx.evaluation.calibration import calibration_error


def draw(seed, n=200, classes=5, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(n, classes, generator=generator)
    noise = torch.randn(n, classes, generator=generator)
    return logits, (logits + noise).argmax(dim=1), logits + noise > 0.5


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.1, 1.0, 3.0]))
def test_of_classes_it_is_torchmetrics(seed, scale):
    logits, y, _ = draw(seed, scale=scale)
    probabilities = logits.double().softmax(dim=1)
    expected = multiclass_calibration_error(probabilities, y, num_classes=5, n_bins=15, norm="l1")
    assert calibration_error(logits, y) == pytest.approx(expected.item(), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.1, 1.0, 3.0]))
def test_of_many_labels_it_is_torchmetrics_of_all_decisions(seed, scale):
    logits, _, y = draw(seed, scale=scale)
    probabilities = logits.double().sigmoid().flatten()
    expected = binary_calibration_error(probabilities, y.flatten().long(), n_bins=15, norm="l1")
    assert calibration_error(logits, y) == pytest.approx(expected.item(), abs=1e-6)


def test_sure_and_right_sure_and_wrong():
    sure = torch.eye(4) * 1e4
    right, wrong = torch.arange(4), (torch.arange(4) + 1) % 4
    assert calibration_error(sure, right) == 0
    assert calibration_error(sure, wrong) == 1
    # undecided among four, right in one case of four: as sure as it is right
    assert calibration_error(torch.zeros(4, 4), right) == pytest.approx(0)
    # twice sure, once of them right, and once undecided and right: 2/3 * 1/2 + 1/3 * 3/4
    logits = torch.cat([sure[:2], torch.zeros(1, 4)])
    assert calibration_error(logits, torch.tensor([0, 0, 0])) == pytest.approx(7 / 12)


def test_surer_logits_of_the_same_decisions_are_another_calibration():
    logits, y, _ = draw(0)
    assert calibration_error(5 * logits, y) > calibration_error(logits, y) + 0.05


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_without_finite_logits_it_is_certain_of_what_is_wrong(value):
    logits, y, many = draw(1)
    broken = logits.clone()
    broken[:, 2] = value
    assert calibration_error(broken, y) == 1
    assert calibration_error(broken, many) == pytest.approx(1)
    broken = torch.cat([logits, broken[:50]])
    sure = torch.cat([logits, 1e4 * torch.nn.functional.one_hot((y[:50] + 1) % 5, 5)])
    y = torch.cat([y, y[:50]])
    assert calibration_error(broken, y) == pytest.approx(calibration_error(sure, y))
