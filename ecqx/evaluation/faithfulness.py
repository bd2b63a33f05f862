"""Does a map show what a network decides by? Occlude what it points at, and look at the decision.

Symmetric relevance gain (SRG) after Bluecher et al. [bluecher2024decoupling]: the positions of an
input are occluded group by group, once the most influential first and once the least influential
first, and the probability of the explained class is followed. The area between both curves is how
much better than chance the map tells what matters from what does not. What is occluded is filled
with the mean of the training data, so that the network sees something normal there.

Network and map are arguments of their own: a map of one network can be put to the test on another.

A map that says nothing (constant, or with a NaN or an infinity) scores 0, what guessing gets.
Positions with equal relevance are occluded in an order that is random, the same for all inputs,
and the same in both directions, so that no tie can be to the advantage of a map.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ecqx.evaluation.evaluate import channels_last
from ecqx.evaluation.maps import informative
from ecqx.evaluation.measures import long_table, moments
from ecqx.seeding import generator
from ecqx.tasks import datasets
from ecqx.tasks.data import Dataset
from ecqx.tasks.task import predict, samples_at_once

# Whose decision, and whose map is put to the test on it; full precision's own is that of the anchor
# "identical".
PAIRS = (("own", "own"), ("reference", "own"), ("own", "reference"))
# More at once is not faster on a CPU.
_MOST_SAMPLES = 128
_KEYS = ("explainer", "network", "map", "signed")


@dataclass(frozen=True)
class OcclusionCurves:
    """Probabilities of the explained class while more and more of the inputs is occluded.

    Attributes
    ----------
    occluded : Tensor, float64, shape (groups + 1,); share of the positions that is occluded, from 0
        to 1.
    most_first, least_first : Tensor, float64, shape (n, groups + 1); the most influential
        positions occluded first, and the least influential ones. Both begin with the input as it
        is and end with nothing of it.
    """

    occluded: Tensor
    most_first: Tensor
    least_first: Tensor

    def gain(self) -> Tensor:
        """Symmetric relevance gain, float64, shape (n,), in [-1, 1].

        The area under `least_first` minus that under `most_first` (trapezoidal rule): 0 in the mean
        of random maps, and minus that of a map for its negative.
        """
        return torch.trapezoid(self.least_first - self.most_first, self.occluded, dim=1)


def mean_filler(train: Tensor, rows_differ: bool) -> Tensor:
    """What occluded positions are filled with: the mean of the training inputs.

    Parameters
    ----------
    train : Tensor, shape (N, C, H, W)
    rows_differ : bool, whether rows are quantities of different kinds, each with a mean of its own
        (the coefficients of MFCCs), or positions of an image.

    Returns
    -------
    Tensor, shape (C, H, 1) if `rows_differ`, else (C, 1, 1)
    """
    dim = (0, 3) if rows_differ else (0, 2, 3)
    return train.double().mean(dim=dim, keepdim=True)[0].to(train.dtype)


def filler_of(dataset: Dataset) -> Tensor:
    """`mean_filler` of a data set; its module says whether rows differ (``ROWS_DIFFER``)."""
    rows_differ = getattr(datasets.get(dataset.name), "ROWS_DIFFER", False)
    return mean_filler(dataset.train.x, rows_differ)


def occlusion_curves(
    model: nn.Module,
    x: Tensor,
    target: Tensor,
    maps: Mapping[Hashable, Tensor],
    filler: Tensor,
    groups: int,
    multilabel: bool = False,
    batch_size: int | None = None,
) -> dict[Hashable, OcclusionCurves]:
    """Curves of a network under occlusion by several maps of the same inputs.

    What the curves share is computed once: their ends, and maps that order positions alike (the
    signed and the absolute map, where nothing is negative).

    Parameters
    ----------
    model : nn.Module, comes back as it was.
    x : Tensor, shape (n, C, H, W); taken to the model's device batch by batch.
    target : Tensor, int64, shape (n,); the explained classes.
    maps : mapping to Tensor, any key -> maps, shape (n, H, W): the larger, the more influential.
    filler : Tensor, shape (C, 1, 1) or (C, H, 1); see `mean_filler`.
    groups : int, from 1 to H W; groups of positions that are occluded one after the other, as equal
        as they can be.
    multilabel : bool, whether each class is a decision of its own: its probability is then the
        sigmoid of its logit, else the softmax of all.
    batch_size : int, optional; inputs of one forward pass. By default 128, fewer of large inputs.

    Returns
    -------
    dict
        The keys of `maps` -> OcclusionCurves, on the device of `x`. Where the network's logits are
        not finite, it decides for no class: the probability is 0.

    Raises
    ------
    ValueError : `groups` is out of range, or a map does not fit.
    """
    n, positions = len(x), x.shape[2] * x.shape[3]
    if not 1 <= groups <= positions:
        raise ValueError(f"groups: expected 1 to {positions}, the positions, got {groups}")
    for key, own in maps.items():
        if own.shape != (n, *x.shape[2:]):
            raise ValueError(
                f"maps of {key}: expected shape {(n, *x.shape[2:])}, got {tuple(own.shape)}"
            )
    cuts = (torch.arange(groups + 1, device=x.device) * positions + groups // 2) // groups
    orders: list[Tensor] = []  # distinct ones, each (n, H W): in which group a position goes
    places: dict[tuple[Hashable, int], int] = {}
    for key, own in maps.items():
        for sign in (1, -1):
            order = _group_of_positions(sign * own, cuts)
            same = (i for i, known in enumerate(orders) if torch.equal(known, order))
            places[key, sign] = next(same, len(orders))
            if places[key, sign] == len(orders):
                orders.append(order)

    size = batch_size or min(_MOST_SAMPLES, samples_at_once(x.shape[1:]))

    def probabilities(inputs: Tensor) -> Tensor:
        logits = predict(model, inputs, size).double()
        found = logits.sigmoid() if multilabel else logits.softmax(dim=1)
        return torch.where(logits.isfinite().all(dim=1, keepdim=True), found, 0.0)

    filled = filler.to(x).expand(x.shape[1:])
    steps = torch.arange(1, groups, device=x.device)[:, None, None, None]
    together = max(1, size // max(1, groups - 1))  # samples whose steps fill a forward pass
    curves = x.new_empty(len(orders), n, groups + 1, dtype=torch.float64)
    curves[:, :, 0] = probabilities(x).gather(1, target[:, None])[:, 0]
    curves[:, :, groups] = probabilities(filled[None])[0, target]
    for curve, order in zip(curves, orders, strict=True):
        for part in torch.arange(n, device=x.device).split(together):
            gone = order[part].view(-1, 1, 1, *x.shape[2:]) < steps
            inputs = torch.where(gone, filled, x[part, None])
            found = probabilities(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2])
            curve[part, 1:groups] = found[torch.arange(len(part)), :, target[part]]
    occluded = cuts.double() / positions
    return {
        key: OcclusionCurves(occluded, curves[places[key, 1]], curves[places[key, -1]])
        for key in maps
    }


def gains(
    model: nn.Module,
    reference_model: nn.Module,
    x: Tensor,
    target: Tensor,
    maps: Mapping[str, Tensor],
    reference_maps: Mapping[str, Tensor],
    filler: Tensor,
    groups: int,
    signed: Sequence[bool] = (True, False),
    multilabel: bool = False,
) -> dict[tuple[str, str, str, bool], Tensor]:
    """Symmetric relevance gains of a network's maps and full precision's, on both networks.

    Together they tell why maps change. If the network decides by other evidence that its map shows,
    its own map is better on it than that of full precision. If it decides by the same evidence and
    its map got worse, that of full precision is better, on both networks. Gains on one network can
    be compared; on two, they also differ by how sure these are.

    Parameters
    ----------
    model, reference_model : nn.Module, the network and full precision; come back as they were.
    x, target, filler, groups, multilabel : see `occlusion_curves`.
    maps, reference_maps : mapping of str to Tensor, explainer -> maps, shape (n, H, W); of the
        network and of full precision. Explainers that only one of them has are left out.
    signed : sequence of bool; True: by the values of the maps, False: by their magnitudes.

    Returns
    -------
    dict
        (explainer, network, map, signed) -> gains, float64, shape (n,), with the network and the
        map those of ``PAIRS``.
    """
    shared = [name for name in maps if name in reference_maps]
    of = {"own": maps, "reference": reference_maps}
    networks = {"own": channels_last(model), "reference": channels_last(reference_model)}
    found = {}
    for network, judged in networks.items():
        chosen = {
            (name, network, source, sign): of[source][name] if sign else of[source][name].abs()
            for name in shared
            for of_network, source in PAIRS
            if of_network == network
            for sign in signed
        }
        curves = occlusion_curves(judged, x, target, chosen, filler, groups, multilabel)
        found |= {key: curve.gain() for key, curve in curves.items()}
    return found


def gain_rows(values: Mapping[tuple[str, str, str, bool], Tensor]) -> list[dict]:
    """Mean and spread of `gains` over samples.

    Returns
    -------
    list[dict]
        Keys: explainer, network and map ("own" or "reference": full precision's), signed (bool;
        False: magnitudes), mean, std (sample standard deviation over samples), n.
    """
    return [dict(zip(_KEYS, key, strict=True)) | moments(own) for key, own in values.items()]


def gain_samples(
    values: Mapping[tuple[str, str, str, bool], Tensor], pairs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What `gain_rows` are the means of.

    Parameters
    ----------
    pairs : mapping of str to ndarray, shape (n,); what tells the explained pairs apart.

    Returns
    -------
    dict of str to ndarray
        Columns of n values per gain: those of `pairs`, explainer, network, map, signed and value
        (float32).
    """
    labels = [dict(zip(_KEYS, key, strict=True)) for key in values]
    return long_table(pairs, labels, list(values.values()))


def _group_of_positions(maps: Tensor, cuts: Tensor) -> Tensor:
    """In which group (0, 1, ...) each position is occluded, the largest values first: (n, H W)."""
    flat = torch.where(informative(maps)[:, None, None], maps, 0.0).flatten(1)
    # a stable sort of shuffled positions: equal values stay in the order of the shuffle
    shuffled = torch.randperm(flat.shape[1], generator=generator("occlusion_ties")).to(flat.device)
    ranked = shuffled[flat[:, shuffled].argsort(dim=1, descending=True, stable=True)]
    ranks = torch.arange(flat.shape[1], device=flat.device)
    group = torch.searchsorted(cuts, ranks, right=True) - 1
    return torch.empty_like(ranked).scatter_(1, ranked, group.expand_as(ranked))
