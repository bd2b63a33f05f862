"""Localisation metrics against scikit-learn and hand-worked cases."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import roc_auc_score

from ecqx.evaluation.localisation import (
    LOCALISATIONS,
    auc,
    pointing_game,
    relevance_mass,
    relevance_rank,
)

BY_NAME = pytest.mark.parametrize("name", LOCALISATIONS)


def draw(shape=(15, 49), n=8, levels=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(n, *shape, generator=generator)
    mask = torch.rand(n, *shape, generator=generator) < torch.linspace(0.05, 0.9, n)[:, None, None]
    maps = maps + 0.7 * mask
    return (maps if levels is None else (maps * levels).round()), mask


@pytest.mark.parametrize("levels", [None, 1, 0.2])
def test_auc_agrees_with_scikit_learn(levels):
    maps, mask = draw(levels=levels)
    expected = [
        roc_auc_score(m.flatten(), v.flatten())
        for v, m in zip(maps.numpy(), mask.numpy(), strict=True)
    ]
    assert auc(maps, mask).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("explainer", ["gradient_x_input", "grad_cam"])
def test_auc_agrees_with_scikit_learn_on_maps_of_a_network(explainer, real_maps):
    maps, mask = real_maps[0][explainer][0], real_maps[1]
    expected = [
        roc_auc_score(m.flatten(), v.flatten())
        for v, m in zip(maps.numpy(), mask.numpy(), strict=True)
    ]
    assert auc(maps, mask).tolist() == pytest.approx(expected, abs=1e-12)


def test_auc_is_one_for_the_mask_itself_and_zero_for_its_negative():
    _, mask = draw()
    assert auc(mask.float(), mask).tolist() == [1.0] * 8
    assert auc(-mask.float(), mask).tolist() == [0.0] * 8


def test_pointing_game_looks_at_the_highest_value():
    maps, mask = torch.zeros(3, 2, 2), torch.zeros(3, 2, 2, dtype=torch.bool)
    mask[:, 0, 0] = True
    maps[0, 0, 0] = 1  # hit
    maps[1, 1, 1] = 1  # miss; a large negative value inside is no hit
    maps[1, 0, 0] = -5
    maps[2, 0] = 1  # two equal maxima, one of them inside
    assert pointing_game(maps, mask).tolist() == [1.0, 0.0, 0.5]


def test_relevance_mass_counts_positive_relevance_alone():
    maps = torch.tensor([[[3.0, -9.0], [1.0, 0.0]], [[-2.0, -1.0], [-4.0, -8.0]]])
    mask = torch.tensor([[True, True], [False, False]]).expand(2, 2, 2)
    # three of four parts inside; without positive relevance what guessing gets: half the area
    assert relevance_mass(maps, mask).tolist() == [0.75, 0.5]
    assert relevance_mass(maps.abs(), mask).tolist() == pytest.approx([12 / 13, 3 / 15])


def test_relevance_rank_looks_at_as_many_positions_as_the_mask_has():
    maps = torch.tensor([[4.0, 3.0, 2.0, 1.0], [4.0, 3.0, 3.0, 3.0], [-1.0, -2.0, -3.0, -4.0]])
    mask = torch.tensor([1, 0, 1, 0]).bool().expand(3, 4)
    # ties: the second place is shared by three positions, one of them inside
    expected = [0.5, (1 + 1 / 3) / 2, 0.5]
    assert relevance_rank(maps[:, None], mask[:, None]).tolist() == pytest.approx(expected)


def test_perfect_and_inverted_maps():
    _, mask = draw()
    for fn in (relevance_mass, relevance_rank):
        assert fn(mask.float(), mask).tolist() == [1.0] * 8
        inverted = fn((~mask).float(), mask)
        if fn is relevance_mass:
            assert inverted.tolist() == [0.0] * 8
        else:  # a mask of more than half the area cannot be avoided
            inside = mask.double().mean(dim=(1, 2))
            expected = ((2 * inside - 1) / inside).clamp(min=0)
            assert inverted.tolist() == pytest.approx(expected.tolist())


maps_and_masks = st.tuples(st.integers(1, 4), st.integers(2, 6), st.integers(2, 6)).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float32, shape, elements=st.integers(-4, 4)), hnp.arrays(bool, shape)
    )
)


@given(maps_and_masks, st.sampled_from(sorted(LOCALISATIONS)), st.randoms(use_true_random=False))
def test_properties(arrays, name, random):
    """Range; independence of the order of positions, whatever ties; complementary masks."""
    maps, mask = map(torch.from_numpy, arrays)
    fn = LOCALISATIONS[name].fn
    values = fn(maps, mask)
    known = ~values.isnan()
    assert bool(((values[known] >= 0) & (values[known] <= 1 + 1e-12)).all())
    order = list(range(maps[0].numel()))
    random.shuffle(order)
    moved = fn(*(m.flatten(1)[:, order].view_as(m) for m in (maps, mask)))
    torch.testing.assert_close(moved, values, equal_nan=True)
    if name != "relevance_rank":  # whose number of positions is the mask's
        torch.testing.assert_close(fn(maps, ~mask)[known], 1 - values[known])


@BY_NAME
@pytest.mark.parametrize("value", [0.0, 7.0, torch.nan, torch.inf, -torch.inf])
def test_maps_that_point_nowhere_get_what_guessing_gets(name, value):
    maps, mask = draw()
    expected = LOCALISATIONS[name].fn(maps, mask)
    maps[2] = value
    maps[3, 0, 0] = -torch.inf
    own = LOCALISATIONS[name].fn(maps, mask)
    area = mask[2:4].double().mean(dim=(1, 2)).tolist()
    assert own[2:4].tolist() == pytest.approx([0.5, 0.5] if name == "auc" else area)
    assert torch.equal(own[4:], expected[4:])
    pointing = [index not in (2, 3) for index in range(8)]
    assert LOCALISATIONS[name].informative(maps).tolist() == pointing


@BY_NAME
def test_masks_that_cannot_be_hit_or_missed_give_nan(name):
    maps, mask = draw()
    mask[0], mask[1] = False, True
    assert LOCALISATIONS[name].fn(maps, mask).isnan().tolist() == [True, True] + [False] * 6


@BY_NAME
def test_scale_never_counts_and_order_alone_where_nothing_is_added_up(name):
    maps, mask = draw()
    fn = LOCALISATIONS[name].fn
    for scale in (3.0, 1e-30, 1e30):
        torch.testing.assert_close(fn(scale * maps, mask), fn(maps, mask), rtol=1e-6, atol=0)
    if LOCALISATIONS[name].positive_part:
        negative = torch.where(maps < 0, 5 * maps, maps)
        assert torch.equal(fn(negative, mask), fn(maps, mask))
    else:
        assert torch.equal(fn(3 * maps.double() - 2, mask), fn(maps, mask))


@BY_NAME
def test_nothing_is_resized(name):
    maps, mask = draw()
    with pytest.raises(ValueError, match="expected two tensors of one shape"):
        LOCALISATIONS[name].fn(maps[:, ::2, ::2], mask)


@BY_NAME
def test_wrong_arguments_are_refused(name):
    maps, mask = draw()
    with pytest.raises(ValueError, match="expected dtype bool, got torch.int64"):
        LOCALISATIONS[name].fn(maps, mask.long())
    with pytest.raises(ValueError, match="expected two tensors of one shape"):
        LOCALISATIONS[name].fn(maps, mask[:, 1:])


def test_registry_is_complete():
    assert list(LOCALISATIONS) == ["auc", "pointing_game", "relevance_mass", "relevance_rank"]
    assert all(entry.label and entry.unit and entry.source for entry in LOCALISATIONS.values())
