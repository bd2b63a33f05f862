import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score

from ecqx.tasks.scores import (
    accuracy_score,
    average_precision,
    f1,
    mean_average_precision,
    multilabel_loss,
)


@st.composite
def scored_labels(draw):
    """Logits of few distinct values, so that many are equal, and labels; rare classes included."""
    n, classes = draw(st.integers(1, 30)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = rng.normal(size=(n, classes))
    if draw(st.booleans()):
        logits = logits.round(0)
    y = rng.random((n, classes)) < rng.random(classes) ** 2
    return torch.from_numpy(logits).float(), torch.from_numpy(y)


def by_class(score, logits, y):
    """The score of scikit-learn for each class that has a positive sample, else NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            score(y[:, k].numpy(), logits[:, k].numpy()) if y[:, k].any() else math.nan
            for k in range(y.shape[1])
        ]


@given(scored_labels())
def test_average_precision_is_that_of_scikit_learn(case):
    logits, y = case
    expected = by_class(average_precision_score, logits, y)
    found = average_precision(logits, y)
    assert found.tolist() == pytest.approx(expected, nan_ok=True, abs=1e-12)
    if y.any():
        assert mean_average_precision(logits, y) == pytest.approx(np.nanmean(expected))


@given(scored_labels())
def test_f1_is_that_of_scikit_learn(case):
    logits, y = case
    expected = by_class(lambda truth, z: f1_score(truth, z > 0, zero_division=0), logits, y)
    assert f1(logits, y).tolist() == pytest.approx(expected, nan_ok=True, abs=1e-12)


@given(scored_labels())
def test_average_precision_depends_on_the_order_of_logits_alone(case):
    logits, y = case
    squashed = 3 * logits.double().sigmoid() - 1
    assert average_precision(logits, y).tolist() == pytest.approx(
        average_precision(squashed, y).tolist(), nan_ok=True
    )


def test_a_hand_worked_case():
    logits = torch.tensor([[0.9, 1.0], [0.8, 1.0], [-0.7, -1.0]])
    y = torch.tensor([[True, True], [False, False], [True, False]])
    # first class: precision 1 at recall 1/2, 2/3 at recall 1; second: both at one threshold
    assert average_precision(logits, y).tolist() == pytest.approx([(1 + 2 / 3) / 2, 1 / 2])
    assert f1(logits, y).tolist() == pytest.approx([2 / (2 + 1 + 1), 2 / (2 + 1)])


def test_scores_without_any_positive_are_refused():
    logits, y = torch.zeros(3, 2), torch.zeros(3, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match="no class has a positive sample"):
        mean_average_precision(logits, y)


@pytest.mark.filterwarnings("error")
def test_a_class_without_positives_has_no_score_and_no_part_in_the_mean():
    logits = torch.tensor([[3.0, 1.0, 1.0], [2.0, 2.0, -1.0], [-1.0, 3.0, -2.0]])
    y = torch.tensor([[False, False, True], [True, False, True], [False, False, True]])
    expected = [1 / 2, math.nan, 1.0]
    assert average_precision(logits, y).tolist() == pytest.approx(expected, nan_ok=True)
    assert mean_average_precision(logits, y) == pytest.approx(3 / 4)
    assert f1(logits, y).tolist() == pytest.approx([2 / 3, math.nan, 1 / 2], nan_ok=True)


def test_logits_that_are_not_finite_are_scored_too():
    """A network that diverges is scored like any other until its loss says so."""
    logits = torch.tensor([[torch.inf], [1.0], [-torch.inf], [-torch.inf]])
    y = torch.tensor([[True], [False], [True], [False]])
    assert average_precision(logits, y).tolist() == pytest.approx([(1 + 2 / 4) / 2])
    logits[0] = torch.nan
    assert 0 < mean_average_precision(logits, y) <= 1


def test_multilabel_loss_is_the_mean_cross_entropy_of_two_classes_each():
    logits = torch.tensor([[2.0, -1.0], [0.5, 0.0]], requires_grad=True)
    y = torch.tensor([[True, False], [False, True]])
    expected = sum(
        -math.log(1 / (1 + math.exp(-z if on else z)))
        for z, on in zip(logits.flatten().tolist(), y.flatten().tolist(), strict=True)
    )
    loss = multilabel_loss(logits, y)
    assert loss.item() == pytest.approx(expected / 4)
    loss.backward()
    torch.testing.assert_close(logits.grad, (logits.detach().sigmoid() - y.float()) / 4)


def test_accuracy_counts_a_tie_for_the_first_class():
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 1.0], [5.0, 0.0]])
    assert accuracy_score(logits, torch.tensor([0, 1, 1, 1])) == 0.5
