"""How good logits are: accuracy where a sample has one class, average precision and F1 where many.

Classes without a positive sample have no average precision and no F1 (NaN); means leave them out.
scikit-learn is imported where it is used: it takes a second that most jobs need not spend.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

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
    from sklearn.metrics import average_precision_score

    # the order alone counts, and scikit-learn refuses numbers that are not finite
    ranks = [column.unique(return_inverse=True)[1] for column in logits.T.cpu()]
    return _by_class(average_precision_score, torch.stack(ranks, 1), y)


def mean_average_precision(logits: Tensor, y: Tensor) -> float:
    """Mean of :func:`average_precision` over the classes that have positive samples, in [0, 1].

    Raises
    ------
    ValueError : no class has one
    """
    scores = average_precision(logits, y)
    if bool(scores.isnan().all()):
        raise ValueError("no class has a positive sample")
    return scores.nanmean().item()


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
    from sklearn.metrics import f1_score

    return _by_class(partial(f1_score, zero_division=0), logits.cpu() > 0, y)


def _by_class(score: Callable[..., float], predicted: Tensor, y: Tensor) -> Tensor:
    """A score of scikit-learn for each class, (labels, predictions) -> float."""
    columns = zip(y.T.cpu().numpy(), predicted.T.numpy(), strict=True)
    scores = [score(has, found) if has.any() else math.nan for has, found in columns]
    return torch.tensor(scores, dtype=torch.float64)
