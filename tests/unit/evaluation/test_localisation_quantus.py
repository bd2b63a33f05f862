"""Localisation metrics against Quantus (Hedström et al., JMLR 24, 2023).

What Quantus does by default and this package does not:

- It divides all maps of a call by one number, the largest magnitude among them (``normalise``).
  None of the metrics depends on the scale.
- ``abs`` is off in its metrics, as here, where the caller decides: rows of signed maps and of
  magnitudes are told apart.
- ``RelevanceMassAccuracy`` adds signed values: negative relevance lowers both sums, and the ratio
  can leave [0, 1]. Here the positive part counts, so Quantus is given that.
- ``PointingGame`` calls it a hit if any of several maxima lies inside the mask; here the share of
  them that does counts.
- ``RelevanceRankAccuracy`` takes ties in the order in which its sort leaves them; here they share
  the last places.
- A mask that is empty gives NaN in all but ``PointingGame``, where it becomes a hit; here in all.
"""

import warnings

import numpy as np
import pytest
import quantus
import torch

from ecqx.evaluation.localisation import (
    LOCALISATIONS,
    auc,
    pointing_game,
    relevance_mass,
    relevance_rank,
)

THEIRS = {
    "auc": quantus.AUC,
    "pointing_game": quantus.PointingGame,
    "relevance_mass": quantus.RelevanceMassAccuracy,
    "relevance_rank": quantus.RelevanceRankAccuracy,
}


def theirs(name, maps, mask, **options):
    """Quantus' values, with its defaults; its masks have a channel, its model is not used."""
    a = maps.double().numpy()[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = THEIRS[name](disable_warnings=True, **options)(
            model=None,
            x_batch=np.zeros_like(a),
            y_batch=np.zeros(len(a), dtype=int),
            a_batch=a,
            s_batch=mask.numpy()[:, None],
        )
    return np.asarray(scores, dtype=float).ravel()


def draw(n=12, shape=(9, 14)):
    generator = torch.Generator().manual_seed(3)
    mask = torch.rand(n, *shape, generator=generator) < torch.linspace(0.05, 0.9, n)[:, None, None]
    return torch.randn(n, *shape, generator=generator) + 0.7 * mask, mask


def unique_values(maps):
    return torch.tensor([len(m.unique()) == m.numel() for m in maps.flatten(1)])


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("signed", [True, False])
def test_agrees_on_random_maps(name, signed):
    maps, mask = draw()
    given = maps.clamp(min=0) if signed and name == "relevance_mass" else maps
    own = LOCALISATIONS[name].fn(maps if signed else maps.abs(), mask)
    np.testing.assert_allclose(own, theirs(name, given, mask, abs=not signed), atol=1e-12)


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("explainer", ["gradient_x_input", "grad_cam"])
def test_agrees_on_maps_of_a_network(name, explainer, real_maps):
    """Where ties do not matter: all maps for two metrics, those without ties for the others."""
    maps, mask = real_maps[0][explainer][0], real_maps[1]
    compared = LOCALISATIONS[name].informative(maps)
    if name == "pointing_game":
        compared &= (maps.flatten(1) == maps.amax(dim=(1, 2))[:, None]).sum(dim=1) == 1
    elif name == "relevance_rank":
        flat, size = maps.flatten(1), mask.flatten(1).sum(dim=1)[:, None]
        ordered = flat.sort(dim=1, descending=True).values
        compared &= (ordered.gather(1, size - 1) > ordered.gather(1, size)).squeeze(1)
    assert int(compared.sum()) >= 12
    maps, mask = maps[compared], mask[compared]
    given = maps.clamp(min=0) if name == "relevance_mass" else maps
    own = LOCALISATIONS[name].fn(maps, mask)
    np.testing.assert_allclose(own, theirs(name, given, mask), atol=1e-12)


def test_where_definitions_differ():
    """The differences listed above, shown."""
    maps, mask = torch.zeros(2, 2, 4), torch.zeros(2, 2, 4, dtype=torch.bool)
    mask[:, 0] = True
    maps[0, 0, 0], maps[0, 1, 0], maps[0, 1, 1] = 2.0, 1.0, -2.0
    maps[1, :, 1] = 1.0
    assert theirs("relevance_mass", maps, mask)[0] == 2.0  # 2 / (2 + 1 - 2)
    assert relevance_mass(maps, mask)[0] == pytest.approx(2 / 3)
    assert theirs("pointing_game", maps, mask)[1] == 1.0
    assert pointing_game(maps, mask)[1] == 0.5
    # one of two maxima inside, and half of the tied rest: 1 + 2 * 3 / 6 places of four
    assert relevance_rank(maps, mask)[1] == pytest.approx(0.5)
    empty = torch.zeros_like(mask)
    assert np.isnan(theirs("auc", maps, empty)).all() and bool(auc(maps, empty).isnan().all())
    assert theirs("pointing_game", maps, empty).tolist() == [1.0, 1.0]
    assert bool(pointing_game(maps, empty).isnan().all())
