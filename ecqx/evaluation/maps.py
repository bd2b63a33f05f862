"""What the metrics share: checks on maps, degenerate maps, ranks and top positions with ties."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# A pair of maps, and what is made of it on the way, is all that several metrics ask about in turn.
_REMEMBERED = 4


def remembered(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Let a function of one tensor compute its result once for each of the last few tensors.

    Metrics are functions of two maps and know nothing of each other; sorting the same maps for each
    of them anew would take half of the time of an evaluation. A tensor that was changed in place
    since is another one.
    """
    recent: list[tuple[weakref.ref[Tensor], int, Tensor]] = []

    @functools.wraps(fn)
    def lookup(tensor: Tensor) -> Tensor:
        if tensor.is_inference():  # changes to these are not counted
            return fn(tensor)
        for known, version, result in recent:
            if known() is tensor and version == tensor._version:
                return result
        result = fn(tensor)
        recent.append((weakref.ref(tensor), tensor._version, result))
        del recent[:-_REMEMBERED]
        return result

    return lookup


def check_maps(a: Tensor, b: Tensor) -> None:
    """Refuse anything but two batches of maps of one shape (n, H, W).

    Raises
    ------
    ValueError : the shapes differ, or are not three-dimensional, or hold no position.
    """
    if a.ndim != 3 or a.shape != b.shape or 0 in a.shape[1:]:
        raise ValueError(
            f"maps: expected two tensors of one shape (n, H, W), got {tuple(a.shape)} "
            f"and {tuple(b.shape)}"
        )


@remembered
def informative(maps: Tensor) -> Tensor:
    """Which maps say anything at all.

    A map that is constant (zero included) prefers no position, and one with a NaN or an infinity
    has no defined pattern: both are degenerate. A network compressed until it collapses yields
    such maps.

    Parameters
    ----------
    maps : Tensor, shape (n, H, W)

    Returns
    -------
    Tensor, bool, shape (n,)
        False for degenerate maps.
    """
    import torch

    flat = maps.flatten(1)
    high, low = flat.amax(dim=1), flat.amin(dim=1)
    # A constant map that was enlarged by interpolation has ripples of a rounding or two.
    ripple = 8 * torch.finfo(flat.dtype).eps * torch.maximum(high.abs(), low.abs())
    return flat.isfinite().all(dim=1) & (high - low > ripple)


@remembered
def average_ranks(maps: Tensor) -> Tensor:
    """Ranks 1..N of every map's positions; tied values share the mean of their ranks.

    One sort for the whole batch: in the sorted row a run of equal values begins where a value
    differs from its left neighbor, so a running maximum of these beginnings, and the same from the
    right, give every element the first and the last rank of its run.

    Parameters
    ----------
    maps : Tensor, shape (n, ...), N values each

    Returns
    -------
    Tensor, float64, shape (n, N)
    """
    import torch

    values = maps.flatten(1)
    n, size = values.shape
    ordered, order = values.sort(dim=1)
    position = torch.arange(size, device=values.device)
    changes = ordered[:, 1:] != ordered[:, :-1]
    edge = changes.new_ones(n, 1)
    first = torch.where(torch.cat([edge, changes], dim=1), position, 0).cummax(dim=1).values
    last = torch.where(torch.cat([changes, edge], dim=1), position, size - 1)
    last = last.flip(1).cummin(dim=1).values.flip(1)
    return torch.empty_like(first, dtype=torch.float64).scatter_(
        1, order, (first + last).double() / 2 + 1
    )


def top_weights(values: Tensor, size: Tensor) -> Tensor:
    """Membership of every position in the set of a row's highest values.

    Positions that tie for the last places share these equally, so that membership depends on no
    order of positions.

    Parameters
    ----------
    values : Tensor, shape (n, N)
    size : Tensor, int64, shape (n,); positions in each row's set, from 1 to N.

    Returns
    -------
    Tensor, float64, shape (n, N)
        1 above the row's `size`-th highest value, 0 below it, what is left to share at it; every
        row sums to its `size`.
    """
    size = size.to(values.device)[:, None]
    highest = int(size.max()) if len(size) else 1
    threshold = values.topk(highest, dim=1).values.gather(1, size - 1)
    above, tied = values > threshold, values == threshold
    share = (size - above.sum(dim=1, keepdim=True)) / tied.sum(dim=1, keepdim=True).double()
    return above + tied * share
