"""What the metrics share: checks on attribution maps, degenerate maps, ranks with ties."""

import torch
from torch import Tensor


def check_maps(a: Tensor, b: Tensor) -> None:
    """Refuse anything but two batches of maps of one shape (n, H, W).

    Raises
    ------
    ValueError
        If the shapes differ, or are not three-dimensional, or hold no position.
    """
    if a.ndim != 3 or a.shape != b.shape or 0 in a.shape[1:]:
        raise ValueError(
            f"maps: expected two tensors of one shape (n, H, W), got {tuple(a.shape)} "
            f"and {tuple(b.shape)}"
        )


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
    flat = maps.flatten(1)
    return flat.isfinite().all(dim=1) & (flat.amax(dim=1) > flat.amin(dim=1))


def average_ranks(values: Tensor) -> Tensor:
    """Ranks 1..N along the last dimension; tied values share the mean of their ranks.

    One sort for the whole batch: in the sorted row a run of equal values begins where a value
    differs from its left neighbor, so a running maximum of these beginnings, and the same from the
    right, give every element the first and the last rank of its run.

    Parameters
    ----------
    values : Tensor, shape (n, N)

    Returns
    -------
    Tensor, float64, shape (n, N)
    """
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
