"""Which pairs of a sample and a class are explained."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecqx.evaluation.subset import background, evaluation_pairs
from ecqx.tasks.data import Split


def split_of(y):
    return Split(torch.zeros(len(y), 1, 2, 2), y)


def test_one_class_each_is_balanced_seeded_and_nested():
    y = torch.tensor([0] * 50 + [1] * 30 + [2] * 4)
    split = split_of(y)
    index, target = evaluation_pairs(split, 30, seed=5)
    assert torch.equal(target, y[index])
    assert y[index].bincount().tolist() == [13, 13, 4]
    assert y[index[:12]].bincount().tolist() == [4, 4, 4]
    assert sorted(y[index[:3]].tolist()) == [0, 1, 2]
    assert torch.equal(index, evaluation_pairs(split, 30, seed=5)[0])
    assert torch.equal(index, evaluation_pairs(split, 60, seed=5)[0][:30])
    assert not torch.equal(index, evaluation_pairs(split, 30, seed=6)[0])
    assert sorted(evaluation_pairs(split, 1000, seed=5)[0].tolist()) == list(range(84))
    with pytest.raises(ValueError, match="samples: expected at least 1, got 0"):
        evaluation_pairs(split, 0, seed=5)


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1), st.integers(1, 12))
@settings(max_examples=60)
def test_many_classes_give_a_pair_for_every_label_of_every_chosen_sample(labels, samples):
    y = torch.tensor(labels)
    split = split_of(y)
    index, target = evaluation_pairs(split, samples, seed=1)
    chosen = list(dict.fromkeys(index.tolist()))
    assert len(chosen) == min(samples, int(y.any(dim=1).sum()))
    expected = [(i, c) for i in chosen for c in range(3) if y[i, c]]
    assert list(zip(index.tolist(), target.tolist(), strict=True)) == expected
    more = evaluation_pairs(split, samples + 3, seed=1)[0]
    assert torch.equal(index, more[: len(index)])


def test_a_rare_class_of_many_comes_early():
    generator = torch.Generator().manual_seed(0)
    y = torch.rand(200, 3, generator=generator) < torch.tensor([0.9, 0.5, 0.02])
    assert 0 < int(y[:, 2].sum()) < 10
    index, target = evaluation_pairs(split_of(y), 12, seed=3)
    counts = target.bincount(minlength=3)
    assert int(counts.min()) >= min(4, int(y[:, 2].sum()))


def test_pairs_of_one_class_each_are_those_of_the_same_labels_as_many():
    """A single label written as one of many is explained in the same order of classes."""
    y = torch.tensor([0, 1, 2, 2, 1, 0, 0, 1])
    own = evaluation_pairs(split_of(y), 5, seed=2)
    as_many = evaluation_pairs(split_of(torch.nn.functional.one_hot(y).bool()), 5, seed=2)
    for part, other in zip(own, as_many, strict=True):
        assert torch.equal(part, other)


def test_the_background_is_drawn_from_training_inputs_without_replacement():
    train = Split(torch.arange(100.0).reshape(100, 1, 1, 1), torch.zeros(100, dtype=torch.int64))
    drawn = background(train, seed=3).flatten()
    assert len(drawn) == len(drawn.unique()) == 32
    assert not torch.equal(drawn, drawn.sort().values)
    assert torch.equal(drawn, background(train, seed=3).flatten())
    assert not torch.equal(drawn, background(train, seed=4).flatten())
    few = Split(train.x[:5], train.y[:5])
    assert sorted(background(few, seed=0).flatten().tolist()) == [0, 1, 2, 3, 4]
