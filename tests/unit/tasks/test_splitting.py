import hashlib

import pytest
import torch
from torch.nn import functional

from ecqx.seeding import generator
from ecqx.tasks.splitting import grouped_split, stratified_split


def test_parts_are_disjoint_complete_and_stratified():
    y = torch.randint(7, (503,), generator=torch.Generator().manual_seed(0))
    shares = (0.5, 0.2, 0.3)
    parts = stratified_split(y, shares, generator(0))
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(503))
    for label in range(7):
        count = int((y == label).sum())
        for part, share in zip(parts, shares, strict=True):
            assert abs(int((y[part] == label).sum()) - share * count) <= 1


def test_the_generator_decides():
    y = torch.arange(100) % 2
    first, again, other = (stratified_split(y, (0.5, 0.5), generator(s))[0] for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("shares", [(0.5, 0.4), (1.2, -0.2), (0.6, 0.6)])
def test_shares_must_be_shares(shares):
    with pytest.raises(ValueError, match="shares are"):
        stratified_split(torch.zeros(4, dtype=torch.int64), shares, generator(0))


def test_groups_stay_together_and_classes_keep_their_shares():
    rng = torch.Generator().manual_seed(0)
    y = torch.randint(5, (2000,), generator=rng)
    groups = (150 * torch.rand(2000, generator=rng).square()).long() * 7 - 3  # any numbers will do
    shares = (0.6, 0.1, 0.3)
    parts = grouped_split(y, groups, shares, generator(0))
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(2000))
    members = [set(groups[part].tolist()) for part in parts]
    assert sum(map(len, members)) == len(groups.unique())
    for part, group, share in zip(parts, members, shares, strict=True):
        assert bool((part.diff() > 0).all())
        assert abs(len(group) - share * 150) <= 5
        assert bool(((y[part].bincount() - share * y.bincount()).abs() <= 6).all())


def test_the_generator_decides_about_groups():
    y, groups = torch.arange(300) % 3, torch.arange(300) // 5
    first, again, other = (grouped_split(y, groups, (0.5, 0.5), generator(s))[0] for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("shares", [(0.5, 0.4), (1.0, 0.0), (0.6, 0.6)])
def test_shares_of_groups_must_be_shares(shares):
    zeros = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(ValueError, match="shares are"):
        grouped_split(zeros, zeros, shares, generator(0))


def greedy(y, groups, shares, rng):
    """The rule of the split without what keeps parts from staying empty."""
    members = functional.one_hot(groups.unique(return_inverse=True)[1]).double()
    counts = members.T @ functional.one_hot(y.unique(return_inverse=True)[1]).double()
    counts = torch.cat([counts, torch.ones(len(counts), 1, dtype=torch.float64)], dim=1)
    expected = torch.tensor(shares, dtype=torch.float64)[:, None] * counts.sum(dim=0)
    filled = torch.zeros_like(expected)
    part_of = torch.zeros(len(counts), dtype=torch.int64)
    order = torch.randperm(len(counts), generator=rng)
    for group in order[counts.sum(dim=1)[order].argsort(descending=True, stable=True)]:
        added = counts[group]
        cost = ((filled + added - expected).square() - (filled - expected).square()) / expected
        part_of[group] = cost.sum(dim=1).argmin()
        filled[part_of[group]] += added
    return [(part_of[members.argmax(dim=1)] == part).nonzero().squeeze(1) for part in range(3)]


def test_no_part_is_empty_and_nothing_else_changes():
    rng = torch.Generator().manual_seed(0)
    kept = filled = 0
    for seed in range(300):
        n_groups = 3 + int(torch.randint(8, (), generator=rng))
        n = n_groups + int(torch.randint(40, (), generator=rng))
        groups = torch.cat([
            torch.arange(n_groups), torch.randint(n_groups, (n - n_groups,), generator=rng)
        ])  # fmt: skip
        y = torch.randint(4, (n,), generator=rng)
        shares = ((0.7, 0.1, 0.2), (0.5, 0.25, 0.25), (0.9, 0.05, 0.05))[seed % 3]
        found = grouped_split(y, groups, shares, generator(seed))
        expected = greedy(y, groups, shares, generator(seed))
        assert torch.equal(torch.cat(found).sort().values, torch.arange(n))
        assert all(len(part) for part in found)
        assert sum(len(groups[part].unique()) for part in found) == n_groups
        if all(len(part) for part in expected):
            assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
            kept += 1
        else:
            filled += 1
    assert kept > 50 and filled > 50


@pytest.mark.parametrize("n_groups", [3, 4, 5])
def test_a_few_equal_groups_are_split(n_groups):
    y, groups = torch.arange(40 * n_groups) % 2, torch.arange(40 * n_groups) % n_groups
    parts = grouped_split(y, groups, (0.7, 0.1, 0.2), generator(0))
    assert [len(part) // 40 for part in parts] == [n_groups - 2, 1, 1]


def test_the_splits_of_published_results_stay_the_same():
    """Of as many speakers, and clips of as many classes, as a data set of recordings has."""
    rng = torch.Generator().manual_seed(0)
    groups = (239 * torch.rand(4482, generator=rng).square()).long()
    y = torch.randint(11, (4482,), generator=rng)
    by_group = grouped_split(y, groups, (0.7, 0.1, 0.2), generator("speech", 0))
    by_class = stratified_split(y, (0.3, 0.2, 0.5), generator("digits", 0))
    digests = [
        hashlib.sha256(repr([part.tolist() for part in parts]).encode()).hexdigest()[:16]
        for parts in (by_group, by_class)
    ]
    assert digests == ["a80ae667b0529047", "1f2e40956ba47dd7"]
