"""Training in floating point under masks."""

import copy
import dataclasses

import pytest
import torch
from torch.nn import functional

from ecqx.compression.contract import Diverged
from ecqx.compression.unquantized_training import train_unquantized
from ecqx.tasks.task import predict


def test_one_round_is_adam_under_a_cosine(small_mlp, small_task):
    """The slow derivation, with the masks applied behind each step instead of to gradients."""
    kept = {"3.weight": torch.rand(12, 20) > 0.5, "3.bias": torch.arange(12) > 3}
    expected = copy.deepcopy(small_mlp)
    trained = train_unquantized(small_mlp, small_task, rounds=[(3, kept)], task_share=0.5)

    def cut():
        with torch.no_grad():
            expected[3].weight.mul_(kept["3.weight"])
            expected[3].bias.mul_(kept["3.bias"])

    cut()
    optimizer = torch.optim.Adam(expected.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3 * small_task.steps_per_epoch)
    states, scores = [], []
    for epoch in (1, 2, 3):
        for x, y in small_task.batches(epoch):
            loss = 0.5 * functional.cross_entropy(expected(x), y)
            optimizer.zero_grad()
            loss.backward()
            for parameter, mask in ((expected[3].weight, "3.weight"), (expected[3].bias, "3.bias")):
                parameter.grad[~kept[mask]] = 0
            optimizer.step()
            schedule.step()
            cut()
        logits = predict(expected, small_task.validation.x)
        y = small_task.validation.y
        scores.append((small_task.score(logits, y), -float(functional.cross_entropy(logits, y))))
        states.append(copy.deepcopy(expected.state_dict()))
    assert [row["validation_score"] for row in trained.history] == [s for s, _ in scores]
    best = max(range(3), key=scores.__getitem__)
    assert trained.epoch == best + 1
    for name, tensor in small_mlp.state_dict().items():
        torch.testing.assert_close(tensor, states[best][name], rtol=1e-5, atol=1e-6)
    total = sum(p.numel() for p in small_mlp.parameters() if p.ndim > 1)
    sparsity = int((~kept["3.weight"]).sum()) / total
    assert trained.history[-1]["sparsity"] == pytest.approx(sparsity, abs=1e-9)


def test_rounds_are_asked_for_in_turn_and_the_last_one_counts(small_cnn, small_task):
    """A first round that is perfect on validation is not what the method promised."""
    asked = []

    def rounds():
        for number, epochs in enumerate((2, 1)):
            asked.append(small_cnn[0].weight.detach().clone())
            yield epochs, {"0.weight": torch.full((6, 1, 3, 3), number == 0)}

    task = dataclasses.replace(small_task, score=lambda logits, y: 0.5)
    trained = train_unquantized(small_cnn, task, rounds=rounds())
    assert trained.epoch == 3 and len(trained.history) == 3
    assert not torch.equal(*asked)
    assert not small_cnn[0].weight.any()


def test_a_loss_that_is_not_finite_diverges(small_cnn, small_task):
    def penalty(x, y, logits):
        return logits.sum() * torch.nan

    with pytest.raises(Diverged, match="the training loss became nan in epoch 1"):
        train_unquantized(small_cnn, small_task, penalty, rounds=[(1, {})])
