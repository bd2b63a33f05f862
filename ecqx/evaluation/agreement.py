"""What a network decides, and how far that is what the full-precision network decides.

A decision is the class of a sample, or, of multi-label data, whether a sample has a class: its
logit is above 0. A sample with a logit that is not finite (a network compressed until it broke)
gets no decision, which counts as wrong and as different from any.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ecqx.tasks.scores import average_precision, f1

NO_DECISION = -1


def decisions(logits: Tensor, multilabel: bool) -> Tensor:
    """What the logits (n, n_classes) decide.

    Returns
    -------
    Tensor, int64
        Class indices, shape (n,); or, if `multilabel`, 1 where the class is predicted and 0 where
        not, shape (n, n_classes). ``NO_DECISION`` for a sample with a logit that is not finite.
    """
    decided = (logits > 0).long() if multilabel else logits.argmax(dim=1)
    finite = logits.isfinite().all(dim=1)
    return torch.where(finite[:, None] if multilabel else finite, decided, NO_DECISION)


def hits(logits: Tensor, target: Tensor, multilabel: bool) -> Tensor:
    """Whether the class asked for is predicted: logits (m, n_classes), target (m,) -> bool (m,)."""
    decided = decisions(logits, multilabel)
    if multilabel:
        return decided.gather(1, target[:, None]).squeeze(1) == 1
    return decided == target


def flips(logits: Tensor, reference_logits: Tensor, multilabel: bool) -> float:
    """Share of decisions in [0, 1] that differ between two networks, right or wrong.

    Two networks of equal accuracy can still decide differently; this tells.

    Source: Hooker et al. [hooker2019forget]
    (there: the samples on which compressed and full-precision networks disagree).

    Parameters
    ----------
    logits, reference_logits : Tensor, shape (n, n_classes); on the same samples in the same order.
    multilabel : bool, whether each sample and class is a decision of its own.

    Raises
    ------
    ValueError : the shapes differ.
    """
    if logits.shape != reference_logits.shape:
        raise ValueError(
            f"logits: expected shape {tuple(reference_logits.shape)} of the reference, got "
            f"{tuple(logits.shape)}"
        )
    own, reference = (decisions(part, multilabel) for part in (logits, reference_logits))
    return (own != reference).double().mean().item()


def logit_distance(logits: Tensor, reference_logits: Tensor, multilabel: bool) -> float:
    """How far the function has moved: Euclidean distance of the logits, mean over samples.

    Where one class is to be chosen, a number that is added to all logits changes no probability:
    both are centered first.

    Parameters
    ----------
    logits, reference_logits : Tensor, shape (n, n_classes); on the same samples in the same order.
    multilabel : bool, whether each class is a decision of its own.

    Returns
    -------
    float
        NaN if a logit is not finite.
    """
    moved = logits.double() - reference_logits.double()
    if not multilabel:
        moved = moved - moved.mean(dim=1, keepdim=True)
    distance = moved.square().sum(dim=1).sqrt().mean().item()
    return distance if math.isfinite(distance) else math.nan


def scorable(logits: Tensor, y: Tensor) -> Tensor:
    """Logits that any score can be computed of, finite or not as they come.

    A sample with a logit that is not finite gets the most wrong ones there are: the lowest number
    for the classes it has, the highest for the others.

    Parameters
    ----------
    logits : Tensor, shape (n, n_classes)
    y : Tensor, int64, shape (n,), or bool, shape (n, n_classes)
    """
    has = y if y.ndim == 2 else torch.nn.functional.one_hot(y, logits.shape[1]).bool()
    extreme = torch.finfo(logits.dtype).max
    wrong = torch.where(has, -extreme, extreme).to(logits.dtype)
    return torch.where(logits.isfinite().all(dim=1, keepdim=True), logits, wrong)


def class_rows(
    logits: Tensor, reference_logits: Tensor, y: Tensor, classes: Sequence[str]
) -> list[dict]:
    """How well every class is recognised, by the network and by full precision, and how alike.

    Parameters
    ----------
    logits, reference_logits : Tensor, shape (n, n_classes)
    y : Tensor, int64, shape (n,), or bool, shape (n, n_classes)
    classes : sequence of str, names, in the order of the logits.

    Returns
    -------
    list[dict]
        Keys: class (name), n (samples that have the class), accuracy, accuracy_fp32, agreement, f1,
        f1_fp32. Accuracy is the share of the class's samples that are classified as such (its
        recall), f1 is None; of multi-label data accuracy is the class's average precision, and F1
        that at the threshold 0. Agreement is the share of the class's samples of which both
        networks decide the same, right or wrong; of multi-label data, the same about this class.
        NaN for a class without samples.
    """
    multilabel = y.ndim == 2
    own, reference = (decisions(part, multilabel) for part in (logits, reference_logits))
    alike = own == reference
    networks = {"": scorable(logits, y), "_fp32": scorable(reference_logits, y)}
    if multilabel:
        measured = {f"accuracy{of}": average_precision(part, y) for of, part in networks.items()}
        measured |= {f"f1{of}": f1(part, y) for of, part in networks.items()}
        counts = y.sum(dim=0)
        measured["agreement"] = (alike & y).sum(dim=0).double() / counts
    else:
        counts = y.bincount(minlength=len(classes))
        measured = {
            f"accuracy{of}": y[part.argmax(dim=1) == y].bincount(minlength=len(classes)).double()
            / counts
            for of, part in networks.items()
        }
        measured["agreement"] = y[alike].bincount(minlength=len(classes)).double() / counts
    columns = ("accuracy", "accuracy_fp32", "agreement", "f1", "f1_fp32")
    return [
        {"class": name, "n": int(counts[c])}
        | {key: measured[key][c].item() if key in measured else None for key in columns}
        for c, name in enumerate(classes)
    ]
