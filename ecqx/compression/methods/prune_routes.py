"""Pruning of filters at one stroke, and of single weights in rounds, with training behind each.

Source: WCAM [park2020wcam], section 4 and its supplement; Li et al. [li2017filters] for filters;
Han et al. [han2015connections] for weights. Deviations: Adam with the task's budget rather than
SGD; rounds share the budget; weights of dense layers are pruned as those of convolutions are, since
the artefact has both; filters are pruned as :mod:`ecqx.compression.filters` says, and the teacher
is in evaluation mode, where the authors' code errs. The networks are quantized in the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ecqx.compression.contract import (
    Compressed,
    Penalty,
    check_range,
    parameter,
    quantizable,
)
from ecqx.compression.filters import filter_layers, masks_of, smallest_filters
from ecqx.compression.methods.matched import Resembling, layer_names
from ecqx.compression.methods.quantizer import PostTrainingQuantizer
from ecqx.compression.unquantized_training import Masks, train_unquantized
from ecqx.tasks.task import Task

ROUND_SHARE = 0.2  # of the remaining weights, pruned in each round


@dataclass(frozen=True)
class PruneStructured(Resembling, PostTrainingQuantizer):
    """The filters of smallest L1 norm go, a share ``pruned`` of each layer; then it is trained.

    ``pruned_layers`` names the layers that lose filters, separated by commas; with none it is all
    convolutions, or all hidden layers where there are none.
    """

    pruned: float = parameter(0.3, label="share of pruned filters")
    pruned_layers: str = ""
    matching: str = parameter("none", words="{}")

    def __post_init__(self):
        super().__post_init__()
        check_range("pruned", self.pruned, 0.0, 0.99)
        layer_names(self.pruned_layers)

    def skip(self, model, task) -> str | None:
        """That a layer is unknown or has no filters, or that maps cannot be matched."""
        known = filter_layers(model)
        for layer in layer_names(self.pruned_layers):
            if layer not in known:
                return f"pruned_layers: {layer!r} is none of {', '.join(known)}"
        if not known:
            return "the model has neither convolutions nor hidden layers to prune"
        return self.unmatchable(model, model, task)

    def compress(self, model, task, rng, penalty: Penalty | None = None) -> Compressed:
        """See :class:`ecqx.compression.contract.Method`."""
        layers = layer_names(self.pruned_layers) or filter_layers(model)
        kept = smallest_filters(model, layers, self.pruned)
        masks = masks_of(model, kept, task.train.x[:1].to(task.device))
        with self.penalty(model, task, rng, penalty) as whole:
            trained = train_unquantized(model, task, whole, rounds=[(task.budget.epochs, masks)])
        return Compressed(self.quantized(model, task, rng), trained.history, trained.epoch)


@dataclass(frozen=True)
class PruneUnstructured(Resembling, PostTrainingQuantizer):
    """In each of so many ``rounds`` 20 % of the weights that are left go, the smallest of all.

    The rounds share the epochs of the budget, the last ones having one more where it does not
    divide; there can be no more of them than epochs.
    """

    rounds: int = parameter(1, label="rounds of pruning")
    matching: str = parameter("none", words="{}")

    def __post_init__(self):
        super().__post_init__()
        check_range("rounds", self.rounds, 1, 40)

    def skip(self, model, task) -> str | None:
        """That the budget has too few epochs, or that maps cannot be matched."""
        if self.rounds > task.budget.epochs:
            return (
                f"rounds: {self.rounds} take as many epochs at least, the budget has "
                f"{task.budget.epochs}"
            )
        return self.unmatchable(model, model, task)

    def compress(self, model, task, rng, penalty: Penalty | None = None) -> Compressed:
        """See :class:`ecqx.compression.contract.Method`."""
        with self.penalty(model, task, rng, penalty) as whole:
            trained = train_unquantized(model, task, whole, rounds=self._rounds(model, task))
        return Compressed(self.quantized(model, task, rng), trained.history, trained.epoch)

    def _rounds(self, model: torch.nn.Module, task: Task) -> Iterator[tuple[int, Masks]]:
        masks = {n: torch.ones_like(w, dtype=torch.bool) for n, w in quantizable(model).items()}
        for number in range(self.rounds):
            masks = without_smallest(quantizable(model), masks, ROUND_SHARE)
            yield (task.budget.epochs + number) // self.rounds, masks


def without_smallest(weights: dict[str, torch.Tensor], masks: Masks, share: float) -> Masks:
    """Masks that exclude a share of what is left more: the smallest magnitudes of all tensors.

    Parameters
    ----------
    weights : by name
    masks : what is left of each
    share : of what is left, rounded to a whole number of weights
    """
    if not weights:
        return {}
    magnitudes = torch.cat([weights[name].detach().abs()[kept] for name, kept in masks.items()])
    kept = torch.ones_like(magnitudes, dtype=torch.bool)
    kept[magnitudes.argsort(stable=True)[: round(share * len(magnitudes))]] = False
    found = {}
    parts = kept.split([int(mask.sum()) for mask in masks.values()])
    for (name, mask), part in zip(masks.items(), parts, strict=True):
        found[name] = mask.clone()
        found[name][mask] = part
    return found
