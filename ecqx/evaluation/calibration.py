"""Whether a network is as sure as it is right.

A network that keeps its accuracy may still have become surer of itself, or less sure; who acts on
its probabilities notices, accuracy does not.
"""

from __future__ import annotations

import torch
from torch import Tensor

# As many as in Guo et al.
_BINS = 15


def calibration_error(logits: Tensor, y: Tensor) -> float:
    """Expected calibration error in [0, 1]: mean distance between confidence and accuracy.

    Decisions are sorted into 15 bins of equal width by their confidence; in each the distance
    between mean confidence and share of right decisions is taken, and its mean over all decisions
    is returned. The confidence of a class is its softmax. Of multi-label data every sample and
    class is a decision: the sigmoid is compared with how often the class is there.

    Where there are no finite logits the network is taken to be certain of what is wrong.

    Source: Naeini et al. [naeini2015calibrated]; bins as in Guo et al. [guo2017calibration].

    Parameters
    ----------
    logits : Tensor, shape (n, n_classes), n at least 1.
    y : Tensor, int64, shape (n,), or bool, shape (n, n_classes).
    """
    finite = logits.isfinite().all(dim=1)
    logits = logits.double()
    if y.ndim == 2:
        confidence = torch.where(finite[:, None], logits.sigmoid(), (~y).double()).flatten()
        happens = y.flatten()
    else:
        confidence, decided = logits.softmax(dim=1).max(dim=1)
        confidence = torch.where(finite, confidence, 1.0)
        happens = finite & (decided == y)
    # a bin holds its upper end, so that certainty belongs to the last one
    bins = (confidence * _BINS).ceil().long().clamp(1, _BINS) - 1
    gaps = confidence.new_zeros(_BINS).index_add_(0, bins, confidence - happens.double())
    return (gaps.abs().sum() / len(confidence)).item()
