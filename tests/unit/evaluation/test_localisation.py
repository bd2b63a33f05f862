"""Localisation metrics against scikit-learn and hand-worked cases."""

import pytest
import torch
from sklearn.metrics import roc_auc_score

from ecqx.evaluation import declared
from ecqx.evaluation.localisation import LOCALISATIONS, auc, pointing_game

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


@BY_NAME
@pytest.mark.parametrize("value", [0.0, 7.0, torch.nan, torch.inf])
def test_maps_that_point_nowhere_get_what_guessing_gets(name, value):
    maps, mask = draw()
    expected = LOCALISATIONS[name].fn(maps, mask)
    maps[2] = value
    maps[3, 0, 0] = torch.nan
    own = LOCALISATIONS[name].fn(maps, mask)
    chance = {"auc": [0.5, 0.5], "pointing_game": mask[2:4].double().mean(dim=(1, 2)).tolist()}
    assert own[2:4].tolist() == pytest.approx(chance[name])
    assert torch.equal(own[4:], expected[4:])


@BY_NAME
def test_masks_that_cannot_be_hit_or_missed_give_nan(name):
    maps, mask = draw()
    mask[0], mask[1] = False, True
    assert LOCALISATIONS[name].fn(maps, mask).isnan().tolist() == [True, True] + [False] * 6


@BY_NAME
def test_only_the_order_of_values_counts(name):
    maps, mask = draw()
    fn = LOCALISATIONS[name].fn
    assert torch.equal(fn(maps, mask), fn(3 * maps.double() - 2, mask))


@BY_NAME
def test_wrong_arguments_are_refused(name):
    maps, mask = draw()
    with pytest.raises(ValueError, match="expected dtype bool, got torch.int64"):
        LOCALISATIONS[name].fn(maps, mask.long())
    with pytest.raises(ValueError, match="expected two tensors of one shape"):
        LOCALISATIONS[name].fn(maps, mask[:, 1:])


def test_registry_is_complete_and_readable_without_torch():
    facts = declared("localisation")
    assert list(facts) == list(LOCALISATIONS) == ["auc", "pointing_game"]
    assert all(facts[name]["source"] == entry.source for name, entry in LOCALISATIONS.items())
