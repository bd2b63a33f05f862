"""How concentrated a map is: on few positions, or spread over all of them.

Every metric takes maps (n, H, W) and returns one value per sample. Complexity is neither
consistency nor correctness: a network may keep the complexity of its maps and point elsewhere, and
full precision has no perfect value. Positions count by their positive relevance; a caller who wants
magnitudes passes them. No metric depends on the scale of a map or on where its positions lie.

A degenerate map (constant, all zero, without positive relevance, or with a NaN or an infinity)
concentrates on nothing and gets what a constant map gets.

To add a metric, write one function here under ``@complexity``. As in `consistency`, nothing here
imports torch before it computes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ecqx.evaluation.maps import informative

if TYPE_CHECKING:
    from torch import Tensor

# As many as the authors of the efficient randomisation test use.
_BINS = 100


@dataclass(frozen=True)
class Complexity:
    """A registered measure of concentration.

    Attributes
    ----------
    fn : callable, ``fn(maps) -> (n,)`` float64; `maps` (n, H, W), ValueError on other shapes.
    label : str, readable name.
    unit : str, unit for axis labels; "1" for a pure number.
    higher_is_better : bool, whether more of it is less to look at.
    source : str, where the definition comes from.
    """

    fn: Callable[[Tensor], Tensor]
    label: str
    unit: str
    higher_is_better: bool
    source: str

    @staticmethod
    def informative(maps: Tensor) -> Tensor:
        """Which maps (n, H, W) concentrate at all, as bool (n,); the others count as constant."""
        return informative(maps) & informative(maps.clamp(min=0))


COMPLEXITIES: dict[str, Complexity] = {}


def complexity(*, label: str, unit: str, higher_is_better: bool, source: str) -> Callable:
    """Register a function of maps under its own name.

    The function receives each map as shares (n, N), float64, not negative, that sum to 1. See
    `Complexity` for the parameters.

    Raises
    ------
    ValueError : the name is taken.
    """

    def register(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        if fn.__name__ in COMPLEXITIES:
            raise ValueError(f"complexity {fn.__name__!r} is registered already")

        @functools.wraps(fn)
        def guarded(maps: Tensor) -> Tensor:
            import torch

            if maps.ndim != 3 or 0 in maps.shape[1:]:
                raise ValueError(f"maps: expected (n, H, W), got {tuple(maps.shape)}")
            concentrated = Complexity.informative(maps)[:, None]
            values = torch.where(concentrated, maps.flatten(1).double().clamp(min=0), 1.0)
            values = values / values.amax(dim=1, keepdim=True)  # sums of tiny ones do not underflow
            return fn(values / values.sum(dim=1, keepdim=True))

        COMPLEXITIES[fn.__name__] = Complexity(guarded, label, unit, higher_is_better, source)
        return guarded

    return register


@complexity(
    label="Gini index",
    unit="1",
    higher_is_better=True,
    source="Hurley and Rickard [hurley2009gini]; for attributions: Chalasani et al. "
    "[chalasani2020concise] (sparseness)",
)
def gini(shares: Tensor) -> Tensor:
    """Gini index of relevance over positions: 0 if all have alike, 1 - 1/N if one has it all.

    Half the mean difference between two positions, relative to their mean.
    """
    import torch

    size = shares.shape[1]
    weights = 2 * torch.arange(1, size + 1, device=shares.device, dtype=shares.dtype) - size - 1
    return (shares.sort(dim=1).values * weights).sum(dim=1) / size


@complexity(
    label="Entropy",
    unit="nat",
    higher_is_better=False,
    source="Bhatt et al. [bhatt2020evaluating] (complexity)",
)
def entropy(shares: Tensor) -> Tensor:
    """Entropy of relevance over positions in nats: 0 if one has it all, ln N if all have alike."""
    import torch

    return torch.special.entr(shares).sum(dim=1)


def histogram_entropy(maps: Tensor) -> Tensor:
    """Entropy in nats of the histogram of each map's values, in 100 bins from least to largest.

    How even the values are, wherever they lie and whatever their sign: 0 for a constant map, ln 100
    for values that are spread evenly. A map with a NaN or an infinity counts as constant.

    Source: Hedström et al. [hedstrom2024emprt].

    Parameters
    ----------
    maps : Tensor, shape (n, H, W)

    Returns
    -------
    Tensor, float64, shape (n,)
    """
    import torch

    counts = np.zeros((len(maps), _BINS))
    speaking = informative(maps).tolist()
    for i, values in enumerate(maps.flatten(1).double().cpu().numpy()):
        if speaking[i]:
            peak = np.abs(values).max()  # of tiny values the bins would have no width
            counts[i] = np.histogram(values / peak, bins=_BINS)[0]
        else:
            counts[i, 0] = 1
    shares = torch.from_numpy(counts / counts.sum(axis=1, keepdims=True))
    return torch.special.entr(shares).sum(dim=1).to(maps.device)
