import pytest
import torch

from ecqx.seeding import generator
from ecqx.tasks.splitting import stratified_split


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
