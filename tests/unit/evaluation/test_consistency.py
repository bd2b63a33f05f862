"""Consistency metrics against other implementations, and their defining properties."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.spatial
import scipy.stats
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import jaccard_score
from sklearn.metrics.pairwise import paired_cosine_distances, paired_euclidean_distances
from sklearn.preprocessing import normalize
from torchmetrics.functional import pearson_corrcoef, spearman_corrcoef
from torchmetrics.functional.image import structural_similarity_index_measure
from torchmetrics.functional.regression import cosine_similarity

from ecqx.evaluation.consistency import (
    METRICS,
    cosine,
    metric,
    normalised_l2,
    pearson,
    spearman,
    topk_iou,
)
from ecqx.evaluation.maps import average_ranks, informative, top_weights

SHAPES = [(8, 8), (15, 49), (32, 32)]
BY_NAME = pytest.mark.parametrize("name", METRICS)


RANGES = {
    "cosine": (-1, 1),
    "pearson": (-1, 1),
    "spearman": (-1, 1),
    "ssim": (-1, 1),
    "topk_iou": (0, 1),
    "normalised_l2": (0, 2),
}
BEST = {name: float(RANGES[name][entry.higher_is_better]) for name, entry in METRICS.items()}


def draw(shape, n=6, seed=0, levels=None):
    """Random pairs of maps, correlated; with `levels`, rounded so that many values tie."""
    generator = torch.Generator().manual_seed(seed)
    a, noise = torch.randn(2, n, *shape, generator=generator)
    b = 0.6 * a + 0.4 * noise
    if levels is not None:
        a, b = (a * levels).round(), (b * levels).round()
    return a, b


def outside_cosine(a, b):
    yield cosine_similarity(a.flatten(1), b.flatten(1), reduction="none"), 1e-6  # in float32
    yield 1 - paired_cosine_distances(a.flatten(1).numpy(), b.flatten(1).numpy()), 1e-12


def outside_pearson(a, b):
    yield pearson_corrcoef(a.flatten(1).T, b.flatten(1).T), 1e-6
    yield each(scipy.stats.pearsonr, a, b), 1e-12


def outside_spearman(a, b):
    yield spearman_corrcoef(a.flatten(1).T, b.flatten(1).T), 1e-5
    yield each(scipy.stats.spearmanr, a, b), 1e-12


def outside_ssim(a, b):
    """torchmetrics derives the window from sigma; the scaled sigma must give the same window."""
    a, b = (m / m.abs().amax(dim=(1, 2), keepdim=True) for m in (a, b))
    window = min(11, *(side if side % 2 else side - 1 for side in a.shape[1:]))
    values = [
        structural_similarity_index_measure(
            own[None, None],
            full[None, None],
            sigma=1.5 * window / 11,
            data_range=(full.max() - full.min()).item(),
        ).item()
        for own, full in zip(a, b, strict=True)
    ]
    yield values, 1e-6


def outside_normalised_l2(a, b):
    a, b = (normalize(m.flatten(1).numpy()) for m in (a, b))
    yield [scipy.spatial.distance.euclidean(u, v) for u, v in zip(a, b, strict=True)], 1e-12
    yield paired_euclidean_distances(a, b), 1e-7  # itself through products: cancels near 0


def outside_topk_iou(a, b):
    """The Jaccard index of two sets: exact where no value ties with the last of the highest."""
    k = math.ceil(a[0].numel() / 10)
    values = []
    for own, full in zip(a.flatten(1), b.flatten(1), strict=True):
        top = [m.numpy() >= m.sort(descending=True).values[k - 1].item() for m in (own, full)]
        unique = all(members.sum() == k for members in top)
        values.append(jaccard_score(*top) if unique else math.nan)
    yield values, 1e-12


WITNESSES = {
    "cosine": outside_cosine,
    "pearson": outside_pearson,
    "spearman": outside_spearman,
    "ssim": outside_ssim,
    "topk_iou": outside_topk_iou,
    "normalised_l2": outside_normalised_l2,
}


def each(correlation, a, b):
    """A correlation of scipy, map by map."""
    pairs = zip(a.flatten(1).numpy(), b.flatten(1).numpy(), strict=True)
    return [correlation(*pair).statistic for pair in pairs]


def check_against_witnesses(name, a, b):
    """Own values equal those of other implementations; returns how many were compared."""
    own = METRICS[name].fn(a, b).numpy()
    compared = len(own)
    for expected, tolerance in WITNESSES[name](a.double(), b.double()):
        expected = np.asarray(expected)
        known = ~np.isnan(expected)
        np.testing.assert_allclose(own[known], expected[known], rtol=0, atol=tolerance)
        compared = min(compared, int(known.sum()))
    return compared


@BY_NAME
@pytest.mark.parametrize("shape", [(3, 5), *SHAPES])
def test_agrees_with_other_implementations_on_random_maps(name, shape):
    assert check_against_witnesses(name, *draw(shape)) == 6


@pytest.mark.parametrize("name", ["cosine", "pearson", "spearman", "ssim", "normalised_l2"])
def test_agrees_with_other_implementations_where_values_tie(name):
    assert check_against_witnesses(name, *draw((15, 49), levels=1)) == 6


@BY_NAME
@pytest.mark.parametrize("explainer", ["gradient_x_input", "grad_cam"])
@pytest.mark.parametrize("signed", [True, False])
def test_agrees_with_other_implementations_on_maps_of_a_network(name, explainer, signed, real_maps):
    a, b = real_maps[0][explainer]
    a, b = (a, b) if signed else (a.abs(), b.abs())
    usable = informative(a) & informative(b)
    assert int(usable.sum()) > 18
    compared = check_against_witnesses(name, a[usable], b[usable])
    assert compared >= (1 if name == "topk_iou" else int(usable.sum()))


def test_ranks_agree_with_scipy_on_ties():
    values = torch.randint(-3, 4, (20, 31), generator=torch.Generator().manual_seed(1)).float()
    expected = scipy.stats.rankdata(values.numpy(), method="average", axis=1)
    np.testing.assert_array_equal(average_ranks(values).numpy(), expected)


@given(st.lists(st.integers(-2, 2), min_size=1, max_size=5), st.data())
@settings(max_examples=40)
def test_top_weights_are_the_mean_over_all_orders_of_the_positions(row, data):
    """Where ties are broken by position, and the position by chance."""
    size = data.draw(st.integers(1, len(row)))
    orders = list(itertools.permutations(range(len(row))))
    expected = np.zeros(len(row))
    for order in orders:
        highest = sorted(order, key=lambda position: -row[position])[:size]
        expected[highest] += 1 / len(orders)
    own = top_weights(torch.tensor([row]), torch.tensor([size]))
    np.testing.assert_allclose(own[0], expected, atol=1e-9)


def test_topk_iou_shares_the_last_places_among_ties():
    a, b = torch.zeros(2, 1, 4, 5)  # 20 positions: two places
    a[0, 0, 0] = b[0, 0, 0] = 1.0  # the first place agrees
    b[0, 0, 1] = 0.5  # b gives the second to one position, a to each of 19 in equal parts
    assert topk_iou(a, b).item() == pytest.approx((1 + 1 / 19) / (1 + 1 + 18 / 19))
    assert topk_iou(a, a).item() == pytest.approx(1.0)


def test_normalised_l2_of_known_angles():
    """Same direction, at right angles, opposite; and a map a hair away from its reference."""
    b = torch.tensor([[[1.0, 0.0]]]).repeat(4, 1, 1)
    a = torch.tensor([[[3.0, 0.0]], [[0.0, 2.0]], [[-1.0, 0.0]], [[1.0, 1e-7]]])
    expected = [0, math.sqrt(2), 2, 1e-7]
    np.testing.assert_allclose(normalised_l2(a, b), expected, rtol=1e-6)


@BY_NAME
@pytest.mark.parametrize("shape", SHAPES)
def test_identical_maps_score_best_and_others_less(name, shape):
    a, b = draw(shape)
    fn, direction = METRICS[name].fn, 1 if METRICS[name].higher_is_better else -1
    best = torch.full((6,), BEST[name], dtype=torch.float64)
    torch.testing.assert_close(fn(a, a), best, rtol=0, atol=1e-12)
    assert bool((direction * (best - fn(a, b)) > 0.05).all())
    assert direction * (fn(a, b).mean() - fn(a, draw(shape, seed=9)[0]).mean()) > 0.1


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
    assert METRICS[name].fn(zeros, torch.randn(4, 8, 8)).tolist() == [METRICS[name].degenerate] * 4


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
    low, high = RANGES[name]
    assert bool(((values >= low - 1e-12) & (values <= high + 1e-12)).all())
    assert low <= METRICS[name].degenerate <= high
    itself = torch.where(informative(a), BEST[name], METRICS[name].degenerate).double()
    torch.testing.assert_close(fn(a, a), itself, rtol=0, atol=1e-9)
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
    for fn in (cosine, pearson, spearman):
        torch.testing.assert_close(
            fn(a, -a), -torch.ones(len(a), dtype=torch.float64), rtol=0, atol=1e-9
        )
    torch.testing.assert_close(normalised_l2(a, -a), torch.full((len(a),), 2.0).double())


@given(pairs)
def test_normalised_l2_and_cosine_tell_the_same_by_the_law_of_cosines(arrays):
    a, b = torch.from_numpy(arrays)
    usable = informative(a) & informative(b)
    a, b = a[usable], b[usable]
    expected = (2 - 2 * cosine(a, b)).clamp(min=0)
    torch.testing.assert_close(normalised_l2(a, b) ** 2, expected, rtol=0, atol=1e-9)


@given(pairs, st.integers(-512, 512).map(lambda k: k / 64))
def test_pearson_ignores_what_is_added_to_all_positions(arrays, offset):
    a, b = torch.from_numpy(arrays)
    torch.testing.assert_close(pearson(a + offset, b), pearson(a, b), rtol=0, atol=1e-9)


def test_registry_is_complete():
    assert set(METRICS) == set(RANGES) and next(iter(METRICS)) == "pearson"
    assert all(entry.label and entry.unit and entry.source for entry in METRICS.values())


def test_declarations_cost_no_torch():
    code = (
        "import sys, ecqx.evaluation.explainers, ecqx.evaluation.localisation;"
        "from ecqx.evaluation.consistency import METRICS;"
        "print(METRICS['cosine'].label, {'torch', 'numpy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Cosine similarity set()"


def test_a_name_is_registered_once():
    def cosine(a, b):
        return a

    with pytest.raises(ValueError, match="'cosine' is registered already"):
        metric(label="", unit="1", higher_is_better=True, degenerate=0.0, source="")(cosine)
