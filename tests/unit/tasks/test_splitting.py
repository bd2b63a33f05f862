import pytest
import torch

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
