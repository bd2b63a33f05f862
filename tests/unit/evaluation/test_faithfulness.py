"""Occlusion curves and symmetric relevance gain, against Quantus and by hand.

The release of Quantus that is tested against has no symmetric relevance gain. It is composed of its
``PixelFlipping``, once of the map and once of its negative; their curves lack the value before the
first step, which is the network's prediction of the input.
"""

import warnings

import numpy as np
import pytest
import quantus
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ecqx.evaluation.faithfulness import filler_of, mean_filler, occlusion_curves
from ecqx.tasks.data import Dataset, Split


class Linear(nn.Module):
    """Two classes; the logit of the second is a sum of weighted positions, that of the first 0."""

    def __init__(self, weights):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights))

    def forward(self, x):
        logit = (x.flatten(1) * self.weights.flatten()).sum(dim=1)
        return torch.stack([torch.zeros_like(logit), logit], dim=1)


def small_network(channels, height, width, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Conv2d(channels, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(6 * height * width, 4)).eval()


def draw(n, channels, height, width, seed=1):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, channels, height, width, generator=rng)
    maps = torch.randn(n, height, width, generator=rng)
    return x, torch.arange(n) % 4, maps


def of_quantus(model, x, target, maps, filler, groups):
    """Both curves, most and least influential first, (n, groups + 1)."""
    with torch.no_grad():
        start = model(x).softmax(dim=1).gather(1, target[:, None]).numpy()
    # its indices go through all channels: the step of each channel is filled with its own value
    filled = filler.expand(x.shape[1:]).flatten().numpy()

    def fill(arr, indices, **_):
        changed = arr.copy()
        changed[np.arange(len(arr))[:, None], indices] = filled[indices]
        return changed

    curves = []
    least_first = maps.amax() - maps.double()  # Quantus refuses maps that are negative everywhere
    for ordered in (maps, least_first):
        metric = quantus.PixelFlipping(
            features_in_step=x[0].numel() // groups,
            normalise=False,
            perturb_func=fill,
            disable_warnings=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            steps = metric(
                model=model,
                x_batch=x.numpy(),
                y_batch=target.numpy(),
                a_batch=ordered[:, None].numpy(),
                softmax=True,
                device="cpu",
            )
        curves.append(np.concatenate([start, np.array(steps)], axis=1))
    return curves


@pytest.mark.parametrize("unlike_rows", [False, True], ids=["images", "MFCCs"])
@pytest.mark.parametrize("signed", [True, False])
def test_equals_quantus(unlike_rows, signed):
    """15 x 49 positions, as of MFCCs, in 35 groups of 21."""
    model = small_network(1, 15, 49)
    x, target, maps = draw(6, 1, 15, 49)
    if not signed:
        maps = maps.abs()
    filler = mean_filler(x + torch.arange(15.0)[:, None], unlike_rows)
    own = occlusion_curves(model, x, target, {"map": maps}, filler, groups=35)["map"]
    most, least = of_quantus(model, x, target, maps, filler, groups=35)
    np.testing.assert_allclose(own.most_first, most, atol=1e-6)
    np.testing.assert_allclose(own.least_first, least, atol=1e-6)
    gain = np.trapz(least - most, dx=1 / 35, axis=1)
    np.testing.assert_allclose(own.gain(), gain, atol=1e-6)
    assert np.abs(gain).max() > 1e-3


def test_channels_are_occluded_together():
    """And each is filled with its own mean: derived position by position."""
    model = small_network(3, 8, 8)
    x, target, maps = draw(4, 3, 8, 8)
    filler = mean_filler(x, False)
    own = occlusion_curves(model, x, target, {0: maps}, filler, groups=64)[0]
    # with equal maps in all channels, a stable order leaves the channels of a position together
    shared = maps[:, None].expand(-1, 3, -1, -1)
    order = (-shared).permute(0, 2, 3, 1).reshape(4, -1).argsort(dim=1, stable=True)
    with torch.no_grad():
        occluded = x.permute(0, 2, 3, 1).reshape(4, -1).clone()
        means = filler.flatten().repeat(64)
        for step in range(64):
            at = order[:, 3 * step : 3 * step + 3]
            occluded.scatter_(1, at, means[at])
            image = occluded.view(4, 8, 8, 3).permute(0, 3, 1, 2)
            expected = model(image).softmax(dim=1).gather(1, target[:, None])[:, 0]
            np.testing.assert_allclose(own.most_first[:, step + 1], expected, atol=1e-6)


def test_gain_of_a_linear_network_by_hand():
    """Weights 1, 2, 3 and -1 of inputs 1: logit 5, and by groups of one position and filler 0."""
    model = Linear([[1.0, 2.0], [3.0, -1.0]])
    x, target = torch.ones(1, 1, 2, 2), torch.tensor([1])
    maps = model.weights.detach()[None]
    filler = torch.zeros(1, 1, 1)
    curves = occlusion_curves(model, x, target, {"map": maps}, filler, groups=4)["map"]
    most, least = [5.0, 2.0, 0.0, -1.0, 0.0], [5.0, 6.0, 5.0, 3.0, 0.0]
    most, least = (1 / (1 + np.exp(-np.array(logits))) for logits in (most, least))
    np.testing.assert_allclose(curves.most_first[0], most, atol=1e-6)
    np.testing.assert_allclose(curves.least_first[0], least, atol=1e-6)
    np.testing.assert_allclose(curves.occluded, [0, 0.25, 0.5, 0.75, 1])
    area = 0.25 * (least[1:4].sum() - most[1:4].sum())
    assert curves.gain().item() == pytest.approx(area, abs=1e-6)


@settings(max_examples=20)
@given(
    groups=st.integers(1, 30),
    shape=st.sampled_from([(1, 5, 6), (3, 6, 5), (2, 1, 30)]),
    seed=st.integers(0, 2**20),
)
def test_curves_share_their_ends(groups, shape, seed):
    """Whatever comes first: they begin with the whole input and end with none of it."""
    model = small_network(*shape, seed)
    x, target, maps = draw(3, *shape, seed)
    filler = mean_filler(x, False)
    found = occlusion_curves(model, x, target, {"a": maps, "b": -maps}, filler, groups)
    with torch.no_grad():
        ends = [
            model(inputs).double().softmax(dim=1).gather(1, target[:, None])[:, 0]
            for inputs in (x, filler.expand_as(x))
        ]
    for curves in found.values():
        for curve in (curves.most_first, curves.least_first):
            torch.testing.assert_close(curve[:, 0], ends[0], atol=1e-6, rtol=0)
            torch.testing.assert_close(curve[:, -1], ends[1], atol=1e-6, rtol=0)
        assert bool((curves.gain().abs() <= 1).all())
    # the negative of a map is occluded the other way round
    assert torch.equal(found["a"].gain(), -found["b"].gain())


def test_maps_that_say_nothing_score_zero():
    model = small_network(1, 6, 6)
    x, target, maps = draw(4, 1, 6, 6)
    maps[0], maps[1, 2, 2], maps[2, 0, 0] = 3.0, torch.nan, torch.inf
    curves = occlusion_curves(model, x, target, {"map": maps}, torch.zeros(1, 1, 1), groups=9)
    gain = curves["map"].gain()
    assert gain[:3].tolist() == [0.0, 0.0, 0.0] and gain[3] != 0


def test_random_maps_score_zero_in_the_mean():
    model = small_network(1, 6, 6)
    x, _, maps = draw(1, 1, 6, 6)
    maps = torch.randn(400, 6, 6, generator=torch.Generator().manual_seed(0))
    many = occlusion_curves(
        model, x.expand(400, -1, -1, -1), torch.zeros(400, dtype=torch.int64), {"map": maps},
        torch.zeros(1, 1, 1), groups=12,
    )["map"].gain()  # fmt: skip
    assert abs(many.mean()) < 3 * many.std() / 20 and many.std() > 0


def test_classes_of_their_own_have_sigmoids():
    model = small_network(1, 6, 6)
    x, target, maps = draw(4, 1, 6, 6)
    options = {"filler": torch.zeros(1, 1, 1), "groups": 9}
    curves = occlusion_curves(model, x, target, {"map": maps}, multilabel=True, **options)["map"]
    with torch.no_grad():
        expected = model(x).double().sigmoid().gather(1, target[:, None])[:, 0]
    torch.testing.assert_close(curves.most_first[:, 0], expected, atol=1e-6, rtol=0)


def test_a_network_that_collapsed_decides_for_no_class():
    class Collapsed(nn.Module):
        def forward(self, x):
            return torch.full((len(x), 4), torch.nan)

    x, target, maps = draw(4, 1, 6, 6)
    found = occlusion_curves(Collapsed(), x, target, {"map": maps}, torch.zeros(1, 1, 1), 9)
    assert found["map"].gain().tolist() == [0.0] * 4


def test_neither_batches_nor_companions_change_a_curve():
    model = small_network(1, 6, 6)
    x, target, maps = draw(5, 1, 6, 6)
    options = {"filler": torch.zeros(1, 1, 1), "groups": 10}
    alone = occlusion_curves(model, x, target, {"map": maps}, batch_size=3, **options)["map"]
    both = {"map": maps, "absolute": maps.abs()}
    beside = occlusion_curves(model, x, target, both, **options)["map"]
    torch.testing.assert_close(alone.gain(), beside.gain(), atol=1e-6, rtol=0)


def test_filler_of_mfccs_has_a_mean_per_coefficient():
    x = torch.randn(20, 1, 5, 7, generator=torch.Generator().manual_seed(0))
    x += torch.arange(5.0)[:, None]
    y = torch.zeros(20, dtype=torch.int64)
    splits = [Split(x, y)] * 3
    expected = torch.stack([x[:, 0, row].mean() for row in range(5)])[None, :, None]
    torch.testing.assert_close(filler_of(Dataset("spoken_keywords", ("a",), *splits)), expected)
    expected = x.mean().view(1, 1, 1)
    torch.testing.assert_close(filler_of(Dataset("digits", ("a",), *splits)), expected)


@pytest.mark.parametrize("groups", [0, 37])
def test_groups_out_of_range_are_refused(groups):
    x, target, maps = draw(2, 1, 6, 6)
    with pytest.raises(ValueError, match=f"groups: expected 1 to 36, the positions, got {groups}"):
        occlusion_curves(small_network(1, 6, 6), x, target, {"m": maps}, x[0], groups)


def test_maps_of_another_shape_are_refused():
    x, target, maps = draw(2, 1, 6, 6)
    with pytest.raises(ValueError, match="maps of m: expected shape"):
        occlusion_curves(small_network(1, 6, 6), x, target, {"m": maps[:1]}, x[0], 9)
