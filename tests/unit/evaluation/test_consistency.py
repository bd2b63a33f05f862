"""Consistency metrics against other implementations, and their defining properties."""

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torchmetrics.functional import spearman_corrcoef
from torchmetrics.functional.image import structural_similarity_index_measure
from torchmetrics.functional.regression import cosine_similarity

from ecqx.evaluation import declared
from ecqx.evaluation.consistency import METRICS, cosine, metric, spearman, ssim, topk_iou
from ecqx.evaluation.maps import average_ranks, informative

SHAPES = [(8, 8), (15, 49), (32, 32)]
BY_NAME = pytest.mark.parametrize("name", METRICS)


def draw(shape, n=6, seed=0, levels=None):
    """Random pairs of maps, correlated; with `levels`, rounded so that many values tie."""
    generator = torch.Generator().manual_seed(seed)
    a, noise = torch.randn(2, n, *shape, generator=generator)
    b = 0.6 * a + 0.4 * noise
    if levels is not None:
        a, b = (a * levels).round(), (b * levels).round()
    return a, b


@pytest.mark.parametrize("shape", SHAPES)
def test_cosine_agrees_with_torchmetrics(shape):
    a, b = draw(shape)
    expected = cosine_similarity(a.flatten(1), b.flatten(1), reduction="none")
    torch.testing.assert_close(cosine(a, b).float(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("levels", [None, 1])
def test_spearman_agrees_with_scipy_and_torchmetrics(shape, levels):
    a, b = draw(shape, levels=levels)
    own = spearman(a, b)
    for i in range(len(a)):
        expected = scipy.stats.spearmanr(a[i].flatten(), b[i].flatten()).statistic
        assert own[i].item() == pytest.approx(expected, abs=1e-12)
    expected = spearman_corrcoef(a.flatten(1).T, b.flatten(1).T)
    torch.testing.assert_close(own.float(), expected, rtol=0, atol=1e-5)


def test_ranks_agree_with_scipy_on_ties():
    values = torch.randint(-3, 4, (20, 31), generator=torch.Generator().manual_seed(1)).float()
    expected = scipy.stats.rankdata(values.numpy(), method="average", axis=1)
    np.testing.assert_array_equal(average_ranks(values).numpy(), expected)


@pytest.mark.parametrize("shape", [(3, 5), *SHAPES])
def test_ssim_agrees_with_torchmetrics(shape):
    """torchmetrics derives the window from sigma; the scaled sigma must give the same window."""
    a, b = draw(shape)
    a, b = (m.double() / m.abs().amax(dim=(1, 2), keepdim=True) for m in (a, b))
    window = min(11, *(side if side % 2 else side - 1 for side in shape))
    own = ssim(a, b)
    for i in range(len(a)):
        expected = structural_similarity_index_measure(
            a[i][None, None],
            b[i][None, None],
            sigma=1.5 * window / 11,
            data_range=(b[i].max() - b[i].min()).item(),
        )
        assert own[i].item() == pytest.approx(expected.item(), abs=1e-6)


def test_topk_iou_is_the_index_of_two_sets_without_ties():
    a, b = draw((15, 49))
    k = 74  # 10 % of 735 positions, rounded up
    own = topk_iou(a, b)
    for i in range(len(a)):
        top_a, top_b = (set(np.argsort(m[i].flatten().numpy())[-k:]) for m in (a, b))
        assert own[i].item() == pytest.approx(len(top_a & top_b) / len(top_a | top_b), abs=1e-12)


def test_topk_iou_shares_the_last_places_among_ties():
    a, b = torch.zeros(2, 1, 4, 5)  # 20 positions: two places
    a[0, 0, 0] = b[0, 0, 0] = 1.0  # the first place agrees
    b[0, 0, 1] = 0.5  # b gives the second to one position, a to each of 19 in equal parts
    assert topk_iou(a, b).item() == pytest.approx((1 + 1 / 19) / (1 + 1 + 18 / 19))
    assert topk_iou(a, a).item() == pytest.approx(1.0)


@BY_NAME
@pytest.mark.parametrize("shape", SHAPES)
def test_identical_maps_score_one_and_others_less(name, shape):
    a, b = draw(shape)
    fn = METRICS[name].fn
    torch.testing.assert_close(fn(a, a), torch.ones(6, dtype=torch.float64), rtol=0, atol=1e-12)
    assert bool((fn(a, b) < 0.95).all())
    assert fn(a, b).mean() > fn(a, draw(shape, seed=9)[0]).mean() + 0.1


@BY_NAME
@pytest.mark.parametrize(
    "broken",
    [
        torch.zeros(8, 8),
        torch.full((8, 8), -3.0),
        torch.randn(8, 8).index_fill(1, torch.tensor([3]), torch.nan),
        torch.randn(8, 8).index_fill(1, torch.tensor([3]), -torch.inf),
    ],
    ids=["zero", "constant", "nan", "inf"],
)
def test_degenerate_maps_get_the_declared_value_and_leave_the_others_alone(name, broken):
    a, b = draw((8, 8), n=3)
    fn, expected = METRICS[name].fn, METRICS[name].fn(a, b)
    spoiled = a.clone()
    spoiled[1] = broken
    value = torch.tensor(METRICS[name].degenerate, dtype=torch.float64)
    for pair in [(spoiled, b), (b, spoiled), (spoiled, spoiled)]:
        assert fn(*pair)[1] == value
    assert torch.equal(fn(spoiled, b)[[0, 2]], expected[[0, 2]])
    assert informative(spoiled).tolist() == [True, False, True]


@BY_NAME
def test_no_comparable_pair_at_all(name):
    zeros = torch.zeros(4, 8, 8)
    assert METRICS[name].fn(zeros, torch.randn(4, 8, 8)).tolist() == [0.0] * 4


@BY_NAME
def test_maps_far_from_one_do_not_underflow(name):
    a, b = draw((15, 49))
    fn = METRICS[name].fn
    torch.testing.assert_close(fn(a * 1e-30, b * 1e30), fn(a, b), rtol=0, atol=1e-5)


@BY_NAME
def test_batching_changes_nothing(name):
    a, b = draw((8, 8))
    fn = METRICS[name].fn
    torch.testing.assert_close(
        fn(a, b), torch.cat([fn(a[i : i + 1], b[i : i + 1]) for i in range(6)])
    )


@BY_NAME
@pytest.mark.parametrize(
    "shapes", [((2, 8, 8), (2, 8, 9)), ((2, 8, 8), (3, 8, 8)), ((2, 64), (2, 64))]
)
def test_wrong_shapes_are_refused(name, shapes):
    with pytest.raises(ValueError, match=r"expected two tensors of one shape \(n, H, W\)"):
        METRICS[name].fn(torch.randn(shapes[0]), torch.randn(shapes[1]))


# Multiples of 1/64 survive the scalings below without rounding, so ties stay ties.
pairs = hnp.arrays(
    np.float32,
    st.tuples(st.just(2), st.integers(1, 4), st.integers(3, 13), st.integers(3, 13)),
    elements=st.integers(-256, 256).map(lambda k: k / 64),
)


@given(pairs, st.sampled_from(sorted(METRICS)), st.sampled_from([0.25, 2.0, 1024.0]))
@settings(max_examples=150, deadline=None)
def test_properties(arrays, name, scale):
    """Range, identity, scale invariance, symmetry (ssim: up to the reference's data range)."""
    a, b = torch.from_numpy(arrays)
    fn = METRICS[name].fn
    values = fn(a, b)
    assert bool((values.abs() <= 1 + 1e-12).all())
    torch.testing.assert_close(fn(a, a), informative(a).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(fn(scale * a, b), values, rtol=0, atol=1e-9)
    torch.testing.assert_close(fn(a, scale * b), values, rtol=0, atol=1e-9)
    if name != "ssim":
        torch.testing.assert_close(fn(b, a), values, rtol=0, atol=1e-9)


@given(pairs)
@settings(max_examples=50, deadline=None)
def test_negated_map_is_anticorrelated(arrays):
    a, _ = torch.from_numpy(arrays)
    assume(bool(informative(a).any()))
    a = a[informative(a)]
    for fn in (cosine, spearman):
        torch.testing.assert_close(
            fn(a, -a), -torch.ones(len(a), dtype=torch.float64), rtol=0, atol=1e-9
        )


def test_registry_is_complete_and_readable_without_torch():
    facts = declared("metric")
    assert list(facts) == list(METRICS) == ["cosine", "spearman", "ssim", "topk_iou"]
    for name, entry in METRICS.items():
        assert facts[name] == {
            "unit": entry.unit,
            "higher_is_better": entry.higher_is_better,
            "degenerate": entry.degenerate,
            "source": entry.source,
        }


def test_a_name_is_registered_once():
    def cosine(a, b):
        return a

    with pytest.raises(ValueError, match="'cosine' is registered already"):
        metric(unit="1", higher_is_better=True, degenerate=0.0, source="")(cosine)
