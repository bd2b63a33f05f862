"""What is pruned, when, and that it stays so."""

import dataclasses

import pytest
import torch

from ecqx.compression.assignment.pruning import Pruned
from ecqx.compression.contract import quantizable
from ecqx.compression.methods.prune import Prune, PruneRandom
from ecqx.compression.training import QuantizedTraining
from ecqx.seeding import generator
from ecqx.tasks.task import Budget

LOSS = torch.nn.functional.cross_entropy


def of(model, sparsity=0.75, ramp_steps=8, scores=None):
    return Pruned(
        quantizable(model), levels=255, sparsity=sparsity, ramp_steps=ramp_steps, epoch_steps=4,
        scores=scores,
    )  # fmt: skip


def test_the_ramp_is_cubic_over_all_tensors_and_the_mask_stays(small_cnn, small_task):
    x, y = small_task.train.x[:32], small_task.train.y[:32]
    assigner = of(small_cnn)
    training = QuantizedTraining(small_cnn.train(), assigner, 1e-2, 16)
    total = sum(shadow.numel() for shadow in training.shadows.values())
    for step in range(17):
        if step:
            training.step(LOSS, x, y, None)
        done = min(step / 8, 1)
        pruned = sum(int((~mask).sum()) for mask in assigner.masks.values())
        assert pruned == round(0.75 * (1 - (1 - done) ** 3) * total)
        for name, mask in assigner.masks.items():
            assert not training.codes[name][~mask].any()
        if step <= 8 and pruned:
            kept = [s[assigner.masks[n]].abs().min() for n, s in training.shadows.items()]
            gone = [
                s[~assigner.masks[n]].abs().max()
                for n, s in training.shadows.items()
                if not assigner.masks[n].all()
            ]
            assert max(gone) <= min(kept), "one threshold for all tensors"
        if step == 8:
            masks = {name: mask.clone() for name, mask in assigner.masks.items()}
            shadows = {name: shadow.clone() for name, shadow in training.shadows.items()}
    for name, mask in masks.items():
        assert torch.equal(assigner.masks[name], mask)
        moved = training.shadows[name] != shadows[name]
        assert moved[mask].any()
    assert [assigner.in_force(epoch, 4) for epoch in (1, 2, 3, 4)] == [False, True, True, True]


@pytest.mark.parametrize("method", [Prune, PruneRandom])
def test_only_epochs_behind_the_ramp_are_chosen(method, small_cnn, small_task):
    scores = iter([0.9, 0.8, 0.1, 0.2])
    task = dataclasses.replace(
        small_task, budget=Budget(4, 1e-2, 32), score=lambda logits, y: next(scores)
    )
    result = method(sparsity=0.9, ramp=0.75).compress(small_cnn, task, generator("x"))
    assert result.epoch == 4
    assert result.history[3]["sparsity"] >= 0.9 > result.history[0]["sparsity"]


def test_at_random_it_is_of_the_seed_and_not_of_the_magnitudes(small_cnn, small_task):
    weights = quantizable(small_cnn)
    one, same, other = (
        PruneRandom()._scores(weights, generator("prune", seed)) for seed in (0, 0, 1)
    )
    name = "3.weight"
    assert torch.equal(one[name], same[name]) and not torch.equal(one[name], other[name])
    assigner = of(small_cnn, 0.5, 1, one)
    training = QuantizedTraining(small_cnn, assigner, 1e-3, 4)
    training.step(LOSS, small_task.train.x[:8], small_task.train.y[:8], None)
    sizes = torch.cat([w.abs().flatten() for w in training.shadows.values()])
    masks = torch.cat([m.flatten() for m in assigner.masks.values()])
    assert abs(float(sizes[masks].mean() / sizes[~masks].mean()) - 1) < 0.2
