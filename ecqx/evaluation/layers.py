"""How relevance is spread over the weights of each layer: do the large ones have it all?"""

import torch
from torch import Tensor, nn

from ecqx.attribution.weight_relevance import weight_relevance
from ecqx.compression.contract import quantizable
from ecqx.evaluation.maps import average_ranks
from ecqx.tasks.task import device_of, samples_at_once

_MOST_SAMPLES = 64
_GROUPS = 10


def mean_weight_relevance(
    model: nn.Module, x: Tensor, target: Tensor, batch_size: int | None = None
) -> dict[str, Tensor]:
    """LRP relevance of every linear and convolutional weight, mean over samples.

    Parameters
    ----------
    model : nn.Module, comes back as it was.
    x : Tensor, shape (n, C, H, W), n at least 1; taken to the model's device batch by batch.
    target : Tensor, int64, shape (n,); classes whose logits are explained.
    batch_size : int, optional; samples in one pass; bounds the memory, does not change the result.
        By default 64, fewer of large inputs.

    Returns
    -------
    dict[str, Tensor]
        Parameter name -> signed relevance, see
        `ecqx.attribution.weight_relevance.weight_relevance`; on the model's device.

    Raises
    ------
    ValueError : a layer of the model has no LRP rule.
    """
    total: dict[str, Tensor] = {}
    device = device_of(model, x.device)
    size = batch_size or min(_MOST_SAMPLES, samples_at_once(x.shape[1:]))
    for part, classes in zip(x.split(size), target.split(size), strict=True):
        # a batch's relevance starts as the logits divided by its size
        for name, relevance in weight_relevance(model, part.to(device), classes.to(device)).items():
            share = relevance * (len(part) / len(x))
            total[name] = total[name] + share if name in total else share
    return total


def relevance_rows(model: nn.Module, relevance: dict[str, Tensor]) -> list[dict]:
    """Relation of a weight's magnitude to its relevance, tensor by tensor.

    The magnitudes of a tensor are put in order and cut into ten groups as equal as they can be
    (the larger ones first where the count is no multiple of ten; weights of equal magnitude in
    order of their position), and each group gets its share of the summed magnitude of relevance.
    Were relevance spread evenly, every share would be 0.1.

    Parameters
    ----------
    model : nn.Module
    relevance : dict[str, Tensor]; parameter name -> relevance of the parameter's shape, see
        `mean_weight_relevance`.

    Returns
    -------
    list[dict]
        Ten rows per tensor, in the order of the network. Keys: tensor (name), position (place
        among the network's weights of two or more dimensions, from 0), weights (count), spearman
        (rank correlation of magnitude and magnitude of relevance), decile (1 to 10, 10 the largest
        magnitudes), relevance_share (in [0, 1]). `spearman` is NaN if either is the same
        everywhere, `relevance_share` if there is no relevance at all.
    """
    rows = []
    for position, (name, tensor) in enumerate(quantizable(model).items()):
        if name not in relevance:
            continue
        size = tensor.detach().cpu().abs().flatten()
        found = relevance[name].cpu().abs().flatten().double()
        groups = found[size.argsort(stable=True)].tensor_split(_GROUPS)
        rows += [
            {
                "tensor": name,
                "position": position,
                "weights": len(size),
                "spearman": _rank_correlation(size, found),
                "decile": decile,
                "relevance_share": (group.sum() / found.sum()).item(),
            }
            for decile, group in enumerate(groups, start=1)
        ]
    return rows


def _rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's, NaN where it is undefined: a correlation of nothing is no 0."""
    ranks = torch.cat([average_ranks(values[None]) for values in (a, b)])
    return torch.corrcoef(ranks)[0, 1].item()
