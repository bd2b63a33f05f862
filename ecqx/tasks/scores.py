"""How good logits are: accuracy where a sample has one class, average precision and F1 where many.

Classes without a positive sample have no average precision and no F1 (NaN); means leave them out.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def accuracy_score(logits: Tensor, y: Tensor) -> float:
    """Share of samples in [0, 1] whose largest logit is that of the label.

    Parameters
    ----------
    logits : Tensor, shape (n, n_classes)
    y : int64 Tensor, shape (n,)
    """
    return (logits.argmax(dim=1) == y).double().mean().item()


def multilabel_loss(logits: Tensor, y: Tensor) -> Tensor:
    """Binary cross entropy of every class against the rest, mean over samples and classes.

    Parameters
    ----------
    logits : Tensor, shape (n, n_classes)
    y : bool Tensor, shape (n, n_classes)
    """
    return functional.binary_cross_entropy_with_logits(logits, y.to(logits.dtype))


def average_precision(logits: Tensor, y: Tensor) -> Tensor:
    """Area under the precision-recall curve of each class, as a sum of its steps.

    AP = sum over thresholds of (R_k - R_(k-1)) P_k, with precision P_k and recall R_k of the
    samples whose logit reaches the k-th largest distinct value. Not interpolated, unlike the
    measure of the VOC challenges up to 2009 (Everingham et al. 2010, section 4.2).

    Parameters
    ----------
    logits : Tensor, shape (n, n_classes)
    y : bool Tensor, shape (n, n_classes)

    Returns
    -------
    float64 Tensor, shape (n_classes,), in [0, 1]; NaN for a class without a positive sample.
    """
    n = len(logits)
    ranked, order = logits.sort(dim=0, descending=True)
    hit = y.gather(0, order).double()
    rank = torch.arange(1, n + 1, device=logits.device)[:, None]
    precision = hit.cumsum(0) / rank
    # samples of equal logit share the threshold at which the last of them is reached
    last = torch.ones_like(hit, dtype=torch.bool)
    last[:-1] = ranked[:-1] != ranked[1:]
    threshold = torch.where(last, rank - 1, n).flip(0).cummin(0).values.flip(0)
    return (hit * precision.gather(0, threshold)).sum(0) / hit.sum(0)


def mean_average_precision(logits: Tensor, y: Tensor) -> float:
    """Mean of :func:`average_precision` over the classes that have positive samples, in [0, 1].

    Raises
    ------
    ValueError: no class has one.
    """
    return _mean_over_classes(average_precision(logits, y))


def f1(logits: Tensor, y: Tensor) -> Tensor:
    """F1 of each class, 2 TP / (2 TP + FP + FN); a class is predicted where its logit is above 0.

    Parameters
    ----------
    logits : Tensor, shape (n, n_classes)
    y : bool Tensor, shape (n, n_classes)

    Returns
    -------
    float64 Tensor, shape (n_classes,), in [0, 1]; NaN for a class without a positive sample.
    """
    predicted = logits > 0
    true_positives = (predicted & y).sum(0).double()
    positives = y.sum(0)
    score = 2 * true_positives / (predicted.sum(0) + positives)
    return torch.where(positives > 0, score, torch.nan)


def macro_f1(logits: Tensor, y: Tensor) -> float:
    """Mean of :func:`f1` over the classes that have positive samples, in [0, 1].

    Raises
    ------
    ValueError: no class has one.
    """
    return _mean_over_classes(f1(logits, y))


def _mean_over_classes(scores: Tensor) -> float:
    if bool(scores.isnan().all()):
        raise ValueError("no class has a positive sample")
    return scores.nanmean().item()
