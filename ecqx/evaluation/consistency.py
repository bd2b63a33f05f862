"""How alike two attribution maps are: the compressed network's and the full-precision network's.

Every metric takes two batches of maps (n, H, W), the second being the reference, and returns one
value per sample. Every metric ignores the scale of either map: doubling all logits of a network
doubles its maps and changes no explanation. Whether signed maps or their magnitudes are compared is
the caller's choice.

Degenerate maps (constant, all zero, or with a NaN or an infinity) prefer no position, so there is
nothing to compare: a pair with one gets the value its metric declares, also when both are equal.
That value is what unrelated maps would get, and for a distance the largest one possible.

To add a metric, write one function here under ``@metric``. What is declared of it is read by tables
and figures too: nothing here imports torch before it computes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecqx.evaluation.maps import average_ranks, check_maps, informative, top_weights

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Metric:
    """A registered comparison of maps.

    Attributes
    ----------
    fn : callable, ``fn(a, b) -> (n,)`` float64; `a` and `b` of shape (n, H, W), `b` the reference.
    label : str, readable name.
    unit : str, unit for axis labels; "1" for a pure number.
    higher_is_better : bool
    degenerate : float, value of a pair in which at least one map is degenerate.
    source : str, where the definition comes from.
    """

    fn: Callable[[Tensor, Tensor], Tensor]
    label: str
    unit: str
    higher_is_better: bool
    degenerate: float
    source: str


METRICS: dict[str, Metric] = {}


def metric(
    *, label: str, unit: str, higher_is_better: bool, degenerate: float, source: str
) -> Callable:
    """Register a function of two batches of maps under its own name.

    The function may take for granted that shapes agree; what it returns for degenerate pairs is
    replaced by `degenerate`. See `Metric` for the parameters.

    Raises
    ------
    ValueError : the name is taken.
    """

    def register(fn: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        if fn.__name__ in METRICS:
            raise ValueError(f"metric {fn.__name__!r} is registered already")

        @functools.wraps(fn)
        def guarded(a: Tensor, b: Tensor) -> Tensor:
            import torch

            check_maps(a, b)
            comparable = informative(a) & informative(b)
            if bool(comparable.all()):  # the maps themselves: what is known of them stays known
                return fn(a, b).double()
            values = a.new_full((len(a),), degenerate, dtype=torch.float64)
            values[comparable] = fn(a[comparable], b[comparable]).double()
            return values

        METRICS[fn.__name__] = Metric(guarded, label, unit, higher_is_better, degenerate, source)
        return guarded

    return register


@metric(
    label="Pearson correlation",
    unit="1",
    higher_is_better=True,
    degenerate=0.0,
    source="Pearson, Notes on regression and inheritance in the case of two parents, 1895",
)
def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's linear correlation over positions, in [-1, 1]: the cosine of centered maps."""
    a, b = (_unit_peak(maps).flatten(1) for maps in (a, b))
    return _cosine(a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True))


@metric(
    label="Cosine similarity",
    unit="1",
    higher_is_better=True,
    degenerate=0.0,
    source="angle between the maps as vectors",
)
def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine similarity of the flattened maps, in [-1, 1]."""
    return _cosine(_unit_peak(a).flatten(1), _unit_peak(b).flatten(1))


@metric(
    label="Spearman correlation",
    unit="1",
    higher_is_better=True,
    degenerate=0.0,
    source="Spearman, The proof and measurement of association between two things, 1904",
)
def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's rank correlation over positions, ties given their average rank; in [-1, 1]."""
    center = (a[0].numel() + 1) / 2 if len(a) else 0.0
    return _cosine(average_ranks(a) - center, average_ranks(b) - center)


@metric(
    label="SSIM",
    unit="1",
    higher_is_better=True,
    degenerate=0.0,
    source="Wang et al. [wang2004ssim]",
)
def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity, averaged over windows around every position; in [-1, 1].

    Both maps are first divided by their largest magnitude (as before SSIM in [adebayo2018sanity]),
    since SSIM compares magnitudes and the scale of a network's logits is no part of an explanation.
    The data range is that of the reference map, maximum minus minimum, so `ssim` is not exactly
    symmetric. Gaussian window 11 x 11 with standard deviation 1.5, the map reflected at its
    borders, K1 = 0.01, K2 = 0.03. On maps with a side below 11 the window is the largest odd one
    that fits, and its standard deviation shrinks in proportion (8 x 8 maps: window 7, standard
    deviation 0.95).
    """
    a, b = _unit_peak(a), _unit_peak(b)
    height, width = a.shape[1:]
    window = min(11, *(side - 1 + side % 2 for side in (height, width)))
    rows = _gaussian_filter(height, window, a)
    columns = _gaussian_filter(width, window, a)

    mean_a, mean_b, square_a, square_b, product = (
        rows @ field @ columns.T for field in (a, b, a * a, b * b, a * b)
    )
    variance_a = (square_a - mean_a**2).clamp(min=0)
    variance_b = (square_b - mean_b**2).clamp(min=0)
    covariance = product - mean_a * mean_b

    data_range = (b.amax(dim=(1, 2)) - b.amin(dim=(1, 2)))[:, None, None]
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return (luminance * structure).mean(dim=(1, 2))


@metric(
    label="Top-10 % IoU",
    unit="1",
    higher_is_better=True,
    degenerate=0.0,
    source="Jaccard index of the 10 % highest positions, as in Ghorbani et al. "
    "[ghorbani2019fragile] (there: intersection alone)",
)
def topk_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of the top 10 % of positions by value (rounded up); in [0, 1].

    Where several positions tie for the last places, they share these equally: position i belongs
    to the set with weight m_i in [0, 1], the weights sum to k, and the index is
    sum_i min(m_i, m'_i) / sum_i max(m_i, m'_i). Without ties that is the usual definition; with
    them it depends on no order of positions (sparse maps tie at zero in most of theirs).
    """
    import torch

    size = torch.tensor(math.ceil(0.1 * a[0].numel()) if len(a) else 1)
    top_a, top_b = (top_weights(maps.flatten(1), size.expand(len(a))) for maps in (a, b))
    return torch.minimum(top_a, top_b).sum(dim=1) / torch.maximum(top_a, top_b).sum(dim=1)


@metric(
    label="Normalised L2",
    unit="1",
    higher_is_better=False,
    degenerate=2.0,
    source="Zagoruyko and Komodakis, Paying more attention to attention, ICLR 2017, equation 2; "
    "Park et al. [park2020wcam] (there: squared)",
)
def normalised_l2(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance of the flattened maps, each divided by its L2 norm; in [0, 2].

    Lower is better: 0 for maps that differ in scale alone, sqrt(2) for orthogonal ones, 2 for
    opposite ones. Magnitudes are never opposite and stay within [0, sqrt(2)]; a degenerate pair
    gets 2 there too. It equals sqrt(2 - 2 cosine): near agreement, where the cosine is flat, it is
    the finer ruler.
    """
    from torch import nn

    a, b = (nn.functional.normalize(_unit_peak(maps).flatten(1), dim=1) for maps in (a, b))
    return (a - b).square().sum(dim=1).sqrt()


def _unit_peak(maps: Tensor) -> Tensor:
    """Maps in float64 with largest magnitude 1: products of tiny relevances do not underflow."""
    maps = maps.double()
    return maps / maps.abs().amax(dim=(1, 2), keepdim=True)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    products = (a * b).sum(dim=1)
    norms = (a * a).sum(dim=1).sqrt() * (b * b).sum(dim=1).sqrt()
    return (products / norms).clamp(-1, 1)


def _gaussian_filter(size: int, window: int, like: Tensor) -> Tensor:
    """Matrix (size, size) that applies a 1-D Gaussian window at every place, borders reflected.

    A separable filter as two small matrix products is several times faster on CPU than a
    convolution with one channel.
    """
    import torch

    sigma = 1.5 * window / 11
    offset = torch.arange(window, device=like.device) - window // 2
    kernel = torch.exp(-((offset.to(like) / sigma) ** 2) / 2)
    source = (torch.arange(size, device=like.device)[:, None] + offset).abs()
    source = size - 1 - (size - 1 - source).abs()
    weights = (kernel / kernel.sum()).expand(size, window)
    return like.new_zeros(size, size).scatter_add_(1, source, weights)
