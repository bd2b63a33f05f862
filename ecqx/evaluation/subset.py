"""Which decisions of a test split are explained, against which background.

Both are the same for all networks of a data set.
"""

import torch
from torch import Tensor

from ecqx.tasks.data import Split

# As many gradients as integrated gradients take.
_BACKGROUND_SAMPLES = 32


def evaluation_pairs(split: Split, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Fixed pairs of a sample and one of its classes, classes as equal as they can be.

    The split is shuffled, then every class gives one sample in turn, so that any beginning of the
    result is balanced too. More samples of the same seed begin with the fewer ones. A sample of
    one class gives one pair. Of multi-label data a sample comes when the first of its classes asks
    for it, and then gives one pair for each class it has; a sample without any class gives none.

    Parameters
    ----------
    split : Split
    samples : int, wanted number of samples; a split with fewer that have a class is used whole.
    seed : int

    Returns
    -------
    index : Tensor, int64, shape (m,)
        Positions in the split, in order of use; of multi-label data a position may follow itself.
    target : Tensor, int64, shape (m,)
        The class of each pair.

    Raises
    ------
    ValueError : `samples` is below 1.
    """
    if samples < 1:
        raise ValueError(f"samples: expected at least 1, got {samples}")
    shuffled = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    if not split.multilabel:
        labels = split.y[shuffled]
        turn = torch.empty_like(labels)
        for label in labels.unique():
            members = labels == label
            turn[members] = torch.arange(int(members.sum()))
        index = shuffled[turn.argsort(stable=True)[:samples]]
        return index, split.y[index]
    shuffled = shuffled[split.y[shuffled].any(dim=1)]
    has = split.y[shuffled]
    turn = torch.where(has, has.cumsum(dim=0), len(split) + 1).amin(dim=1)
    chosen = shuffled[turn.argsort(stable=True)[:samples]]
    row, target = split.y[chosen].nonzero(as_tuple=True)
    return chosen[row], target


def background(train: Split, seed: int) -> Tensor:
    """Inputs drawn from the training split, without replacement: what is normal for a network.

    Parameters
    ----------
    train : Split, the training split.
    seed : int

    Returns
    -------
    Tensor, shape (b, C, H, W), b = 32; a split with fewer is used whole.
    """
    shuffled = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    return train.x[shuffled[:_BACKGROUND_SAMPLES]]
