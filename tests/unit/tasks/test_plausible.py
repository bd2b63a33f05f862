"""Trained networks that are not as good as they should be."""

import pytest
import torch
from torch import nn

from ecqx.tasks import datasets
from ecqx.tasks.data import Dataset, Split
from ecqx.tasks.plausible import chance_score, checked_score


class Guess(nn.Module):
    """Right for so many of the inputs, whose features are their labels; then always wrong."""

    def __init__(self, right):
        super().__init__()
        self.right = right

    def forward(self, x):
        y, number = x[:, 0, 0, :-1], x[:, 0, 0, -1:]
        return torch.where(number < self.right, y, y.roll(1, dims=1))


def dataset(counts, multilabel=False):
    """A data set of so many validation samples of each class."""
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    hot = nn.functional.one_hot(y, len(counts)).float()
    x = torch.cat([hot, torch.arange(len(y)).float()[:, None]], dim=1)[:, None, None]
    split = Split(x, hot.bool() if multilabel else y)
    datasets.register("guessed", object())
    return Dataset("guessed", tuple("abcdefghij")[: len(counts)], split, split, split)


@pytest.mark.parametrize(
    ("counts", "right", "stated", "said"),
    [
        ([50, 50], 50, None, "scores 0.500 on validation, where 0.500 is chance; was it trained"),
        ([50, 50], 52, None, "scores 0.520 on validation, where 0.500 is chance"),
        ([80, 20], 78, None, "scores 0.780 on validation, where 0.800 is chance"),
        ([10] * 10, 10, None, "scores 0.100 on validation, where 0.100 is chance"),
        ([50, 50], 56, None, None),
        ([2, 2], 3, None, None),
        # little, but among so many surely more than chance
        ([1000] * 10, 1300, None, None),
        ([50, 50], 50, 0.5, None),
        ([50, 50], 50, 0.9, "scores 0.500 on validation, expected about 0.9 (accuracy); was it"),
        ([500, 500], 920, 0.98, "scores 0.920 on validation, expected about 0.98 (accuracy)"),
        ([500, 500], 940, 0.98, None),
        # five of ten below what was stated is what ten samples can be off by
        ([5, 5], 5, 0.9, "scores 0.500 on validation, expected about 0.9"),
        ([5, 5], 7, 0.9, None),
    ],
)
def test_a_network_far_from_what_it_should_be_is_told(counts, right, stated, said):
    if said is None:
        score = checked_score(Guess(right), dataset(counts), stated)
        assert score == pytest.approx(right / sum(counts))
        return
    with pytest.raises(ValueError) as caught:
        checked_score(Guess(right), dataset(counts), stated)
    assert str(caught.value).startswith(said) and "normalisation" in str(caught.value)


def test_several_labels_a_sample():
    several = dataset([10, 30], multilabel=True)
    assert chance_score(several.validation) == pytest.approx(0.5)
    assert checked_score(Guess(40), several) == 1.0
    with pytest.raises(ValueError, match="is chance"):
        checked_score(Guess(0), several)


@pytest.mark.parametrize("stated", [0.0, -1.0, 1.01, float("nan")])
def test_what_is_stated_is_a_share(stated):
    with pytest.raises(ValueError, match="^accuracy: got .* at most 1$"):
        checked_score(Guess(0), dataset([1, 1]), stated)
