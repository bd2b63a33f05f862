"""Does a map point at the object? Maps against ground-truth masks of the same size.

Every metric takes maps (n, H, W) and masks (n, H, W) and returns one value per sample. Maps have
the size of the input, as explainers return them (Grad-CAM is upsampled there), and so have masks:
nothing is resized here. No threshold and no normalisation is applied. Signed maps are used as they
are, so that negative relevance ranks below zero; a caller who wants magnitudes passes them. A
metric that adds values up, instead of ordering them, sees their positive part alone.

A degenerate map (constant, all zero, or with a NaN or an infinity) points nowhere and gets what
guessing gets; so does a map without positive relevance from a metric of the positive part. A mask
that is empty or covers everything cannot be hit or missed: the value is NaN.

To add a metric, write one function here under ``@localisation``. As in `consistency`, nothing here
imports torch before it computes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecqx.evaluation.maps import average_ranks, check_maps, informative, top_weights

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Localisation:
    """A registered comparison of maps with masks.

    Attributes
    ----------
    fn : callable, ``fn(maps, mask) -> (n,)`` float64; `maps` (n, H, W), `mask` (n, H, W) bool.
    label : str, readable name.
    unit : str, unit for axis labels; "1" for a pure number.
    higher_is_better : bool
    source : str, where the definition comes from.
    positive_part : bool, whether negative relevance is set to zero before anything else.
    """

    fn: Callable[[Tensor, Tensor], Tensor]
    label: str
    unit: str
    higher_is_better: bool
    source: str
    positive_part: bool

    def informative(self, maps: Tensor) -> Tensor:
        """Which maps (n, H, W) point anywhere, as bool (n,); the others get what guessing gets."""
        points = informative(maps)
        return points & informative(maps.clamp(min=0)) if self.positive_part else points


LOCALISATIONS: dict[str, Localisation] = {}


def localisation(
    *,
    label: str,
    unit: str,
    higher_is_better: bool,
    source: str,
    positive_part: bool = False,
) -> Callable:
    """Register a function of maps and masks under its own name.

    The function receives degenerate maps as all one and may take for granted that every mask has
    positions inside and outside. See `Localisation` for the parameters.

    Raises
    ------
    ValueError : the name is taken.
    """

    def register(fn: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        if fn.__name__ in LOCALISATIONS:
            raise ValueError(f"localisation {fn.__name__!r} is registered already")

        @functools.wraps(fn)
        def guarded(maps: Tensor, mask: Tensor) -> Tensor:
            import torch

            check_maps(maps, mask)
            if mask.dtype != torch.bool:
                raise ValueError(f"mask: expected dtype bool, got {mask.dtype}")
            inside = mask.flatten(1).sum(dim=1)
            defined = (inside > 0) & (inside < mask[0:1].numel())
            pointing = LOCALISATIONS[fn.__name__].informative(maps)
            if positive_part:
                maps = maps.clamp(min=0)
            if not bool(pointing.all()):
                maps = torch.where(pointing[:, None, None], maps, 1.0)
            if bool(defined.all()):  # the maps themselves: what is known of them stays known
                return fn(maps, mask).double()
            values = maps.new_full((len(maps),), torch.nan, dtype=torch.float64)
            values[defined] = fn(maps[defined], mask[defined]).double()
            return values

        LOCALISATIONS[fn.__name__] = Localisation(
            guarded, label, unit, higher_is_better, source, positive_part
        )
        return guarded

    return register


@localisation(
    label="ROC-AUC",
    unit="1",
    higher_is_better=True,
    source="Mann and Whitney [mann1947test]; for attributions: Park et al. [park2020wcam]",
)
def auc(maps: Tensor, mask: Tensor) -> Tensor:
    """Area under the ROC curve: P(value inside > value outside), ties counting half.

    1 if every position inside the mask is above every one outside, 0.5 for guessing.
    """
    mask = mask.flatten(1)
    inside = mask.sum(dim=1).double()
    rank_sum = (average_ranks(maps) * mask).sum(dim=1)
    return (rank_sum - inside * (inside + 1) / 2) / (inside * (mask.shape[1] - inside))


@localisation(
    label="Pointing game",
    unit="1",
    higher_is_better=True,
    source="Zhang et al. [zhang2018excitation]",
)
def pointing_game(maps: Tensor, mask: Tensor) -> Tensor:
    """1 where the highest value lies inside the mask, else 0.

    Several equal maxima count with the share of them that lies inside, so that a constant map gets
    what a random guess gets. No tolerance around the mask (the paper grants 15 pixels, on
    photographs); the mean over samples is the share of hits.
    """
    flat, mask = maps.flatten(1), mask.flatten(1)
    highest = flat == flat.amax(dim=1, keepdim=True)
    return (highest & mask).sum(dim=1).double() / highest.sum(dim=1)


@localisation(
    label="Relevance mass",
    unit="1",
    higher_is_better=True,
    source="Arras et al. [arras2022clevrxai] (relevance mass accuracy)",
    positive_part=True,
)
def relevance_mass(maps: Tensor, mask: Tensor) -> Tensor:
    """Positive relevance inside the mask as a share of all positive relevance, in [0, 1].

    1 if no positive relevance lies outside; the mask's share of the area for guessing. The positive
    part of relevance summed over channels is what the paper calls the pooling "sum,pos".
    """
    maps = maps.flatten(1).double()
    maps = maps / maps.amax(dim=1, keepdim=True)
    return (maps * mask.flatten(1)).sum(dim=1) / maps.sum(dim=1)


@localisation(
    label="Relevance rank",
    unit="1",
    higher_is_better=True,
    source="Arras et al. [arras2022clevrxai] (relevance rank accuracy)",
)
def relevance_rank(maps: Tensor, mask: Tensor) -> Tensor:
    """Share of the K highest positions that lies inside the mask of K positions, in [0, 1].

    Where several positions tie for the last of the K places, they share these equally (as in
    `ecqx.evaluation.consistency.topk_iou`), so that a constant map gets what guessing gets: the
    mask's share of the area.
    """
    mask = mask.flatten(1)
    size = mask.sum(dim=1)
    return (top_weights(maps.flatten(1), size) * mask).sum(dim=1) / size
