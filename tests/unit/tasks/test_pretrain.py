import dataclasses
import math

import pytest
import torch
from torch import nn

from ecqx.seeding import generator
from ecqx.tasks.pretrain import pretrain
from ecqx.tasks.task import predict


def build(input_shape, n_classes):
    n_inputs = math.prod(input_shape)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(n_inputs, 12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, n_classes)
    )


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_it_learns(bars, global_rng_untouched):
    trained = pretrain(build, bars, generator(0))
    assert trained.history[trained.epoch - 1]["validation_score"] > 0.8
    losses = [row["train_loss"] for row in trained.history]
    assert losses[-1] < 0.7 * losses[0]
    assert [row["epoch"] for row in trained.history] == [1, 2, 3, 4]


def test_the_generator_decides_everything(bars):
    torch.manual_seed(1)
    first = pretrain(build, bars, generator(0))
    torch.manual_seed(2)
    again, other = pretrain(build, bars, generator(0)), pretrain(build, bars, generator(1))
    assert same(first.model, again.model) and first.history == again.history
    assert not same(first.model, other.model)


def test_the_model_is_that_of_the_chosen_epoch(bars):
    bars = dataclasses.replace(bars, budget=dataclasses.replace(bars.budget, epochs=12))
    trained = pretrain(build, bars, generator(3))
    logits = predict(trained.model, bars.validation.x)
    chosen = trained.history[trained.epoch - 1]
    assert bars.score(logits, bars.validation.y) == chosen["validation_score"]
    assert bars.loss(logits, bars.validation.y).item() == chosen["validation_loss"]
    assert chosen["validation_score"] == max(row["validation_score"] for row in trained.history)
    assert not trained.model.training
    assert all(p.grad is None and p.requires_grad for p in trained.model.parameters())


def test_the_lower_validation_loss_breaks_ties(bars):
    validation_losses = iter([0.5, 0.3, 0.2, 0.4])

    def loss(logits, y):
        if logits.requires_grad:
            return nn.functional.cross_entropy(logits, y)
        return torch.tensor(next(validation_losses))

    tied = dataclasses.replace(bars, score=lambda logits, y: 0.5, loss=loss)
    assert pretrain(build, tied, generator(0)).epoch == 3


def test_the_score_counts_more_than_the_loss(bars):
    scores = iter([0.1, 0.9, 0.2, 0.3])
    task = dataclasses.replace(bars, score=lambda logits, y: next(scores))
    assert pretrain(build, task, generator(0)).epoch == 2


def test_learning_rate_follows_a_cosine_to_zero(bars):
    trained = pretrain(build, bars, generator(0))
    steps = bars.steps_per_epoch
    total = steps * bars.budget.epochs
    expected = [
        0.5 * bars.budget.learning_rate * (1 + math.cos(math.pi * (steps * epoch - 1) / total))
        for epoch in range(1, bars.budget.epochs + 1)
    ]
    assert [row["learning_rate"] for row in trained.history] == pytest.approx(expected)


def test_weight_decay_shrinks_weights_and_spares_biases(bars):
    # a loss without gradient leaves the decay alone
    idle = dataclasses.replace(bars, loss=lambda logits, y: 0 * logits.sum())
    start = pretrain(build, idle, generator(0)).model
    decayed_run = pretrain(build, idle, generator(0), weight_decay=0.5)
    decayed = decayed_run.model
    assert torch.equal(start[1].bias, decayed[1].bias)
    steps, total = bars.steps_per_epoch, bars.steps_per_epoch * bars.budget.epochs
    shrunk = 1.0
    for step in range(steps * decayed_run.epoch):
        rate = 0.5 * bars.budget.learning_rate * (1 + math.cos(math.pi * step / total))
        shrunk *= 1 - 0.5 * rate
    assert shrunk < 0.98
    torch.testing.assert_close(decayed[1].weight, start[1].weight * shrunk)


def test_only_training_data_move_the_weights(bars):
    task = dataclasses.replace(bars, score=lambda logits, y: 0.0)
    other = dataclasses.replace(task, validation=task.train)
    histories = [pretrain(build, t, generator(0)).history for t in (task, other)]
    assert [r["train_loss"] for r in histories[0]] == [r["train_loss"] for r in histories[1]]


def test_a_loss_that_is_not_finite_is_named(bars):
    task = dataclasses.replace(bars, loss=lambda logits, y: logits.sum() * torch.nan)
    with pytest.raises(FloatingPointError, match="bars/linear: loss not finite in epoch 1"):
        pretrain(build, task, generator(0))


def test_negative_weight_decay_is_refused(bars):
    with pytest.raises(ValueError, match="weight_decay is -0.1"):
        pretrain(build, bars, generator(0), weight_decay=-0.1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_learns_what_the_cpu_learns(bars):
    def build_plain(input_shape, n_classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), n_classes))

    on_cpu = pretrain(build_plain, bars, generator(0))
    on_gpu = pretrain(build_plain, bars.to("cuda"), generator(0))
    assert not on_gpu.model[1].weight.is_cuda
    assert on_gpu.epoch == on_cpu.epoch
    torch.testing.assert_close(on_gpu.model[1].weight, on_cpu.model[1].weight)


def test_a_frozen_network_is_refused(bars):
    def frozen(input_shape, n_classes):
        return build(input_shape, n_classes).requires_grad_(False)

    def frozen_below(input_shape, n_classes):
        model = frozen(input_shape, n_classes)
        model[-1].requires_grad_(True)
        return model

    with pytest.raises(ValueError, match="the network is frozen: .* some to train, or a check"):
        pretrain(frozen, bars, generator(0))
    model = pretrain(frozen_below, bars, generator(0)).model
    other = pretrain(frozen_below, bars, generator(0), weight_decay=0.5).model
    assert torch.equal(model[1].weight, other[1].weight)
    assert not torch.equal(model[-1].weight, other[-1].weight)
