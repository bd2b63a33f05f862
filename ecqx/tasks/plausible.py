"""Whether a network that came trained is as good on a data set as it should be.

One that was trained on inputs of another scale, or with classes in another order, fits the data set
in shape and is measured without a word; all that is made of it then starts from a broken network.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ecqx.tasks.data import Dataset, Split
from ecqx.tasks.scores import accuracy_score, mean_average_precision
from ecqx.tasks.task import objective, predict

_LEAST_FALL = 0.05  # below what was stated
_DEVIATIONS = 3.0  # of a share among so many samples, that chance explains
_LITTLE = 0.1  # of the way from chance to no mistake
_SURE = 0.01  # how rarely chance alone would be that good
_CAUSES = "was it trained on inputs of another scale (normalisation), or with other classes?"


def checked_score(model: torch.nn.Module, dataset: Dataset, stated: float | None = None) -> float:
    """The network's score on validation.

    Parameters
    ----------
    model : nn.Module
    dataset : Dataset
    stated : float, optional; what whoever trained it found on data like these.

    Raises
    ------
    ValueError : ``stated`` is no share; or the score is far below it: by 0.05, and by three
        standard errors; or, with nothing stated, the score is no better than chance, which always
        names the most frequent class: less than a tenth of the way to no mistake, and not better at
        a level of 0.01.
    """
    if stated is not None and not 0 < stated <= 1:
        raise ValueError(f"accuracy: got {stated}, expected a number above 0, at most 1")
    validation = dataset.validation
    _, score_of = objective(dataset)
    score = float(score_of(predict(model, validation.x), validation.y))
    n = len(validation)
    if stated is not None:
        error = math.sqrt(stated * (1 - stated) / n)
        if score < stated - max(_LEAST_FALL, _DEVIATIONS * error):
            raise ValueError(
                f"scores {score:.3f} on validation, expected about {stated:g} (accuracy); {_CAUSES}"
            )
    elif score_of in (accuracy_score, mean_average_precision):
        chance = chance_score(validation)
        if _no_better(score, chance, n, exact=not validation.multilabel):
            raise ValueError(
                f"scores {score:.3f} on validation, where {chance:.3f} is chance; {_CAUSES} If it "
                "is meant to, state its accuracy"
            )
    return score


def chance_score(split: Split) -> float:
    """What is reached without looking: accuracy of the most frequent class; mean share of classes.

    The latter, for several labels a sample, is the average precision of a random order.
    """
    if split.multilabel:
        return float(split.y.double().mean())
    counts: Tensor = split.y.bincount()
    return float(counts.max() / counts.sum())


def _no_better(score: float, chance: float, n: int, exact: bool) -> bool:
    if score - chance > _LITTLE * (1 - chance):
        return False
    if not exact:
        return True
    from scipy.stats import binom

    return bool(binom.sf(round(score * n) - 1, n, chance) > _SURE)
