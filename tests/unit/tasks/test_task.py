import dataclasses

import pytest
import torch
from torch import nn

from ecqx.seeding import generator
from ecqx.tasks.data import Dataset, Split
from ecqx.tasks.datasets import spoken_keywords
from ecqx.tasks.task import Budget, Task, accuracy, accuracy_score, predict


def numbered_task(n, batch_size, augment=None):
    """Every input holds its own number, and so does its label."""
    x = torch.arange(n, dtype=torch.float32).reshape(n, 1, 1, 1)
    split = Split(x, torch.arange(n))
    return Task("numbers/none", split, split, n, Budget(1, 1e-3, batch_size), augment)


@pytest.mark.parametrize(
    ("n", "batch_size", "sizes"),
    [(12, 4, [4, 4, 4]), (14, 4, [4, 4, 4, 2]), (13, 4, [4, 4, 4]), (3, 8, [3]), (2, 2, [2])],
)
def test_batches_keep_a_short_rest_of_at_least_two(n, batch_size, sizes):
    task = numbered_task(n, batch_size)
    batches = list(task.batches(generator(0)))
    assert [len(x) for x, _ in batches] == sizes
    assert task.steps_per_epoch == len(sizes)
    drawn = torch.cat([y for _, y in batches])
    assert len(drawn.unique()) == sum(sizes)
    assert all(torch.equal(x.flatten(), y.float()) for x, y in batches)


def test_batches_are_shuffled_by_the_generator_alone(global_rng_untouched):
    task = numbered_task(40, 40)
    orders = [next(task.batches(generator(seed)))[1] for seed in (0, 0, 1)]
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], torch.arange(40))
    rng = generator(0)
    first, second = (next(task.batches(rng))[1] for _ in range(2))
    assert not torch.equal(first, second)


def test_batches_are_augmented_and_the_data_stay():
    task = numbered_task(10, 5, augment=lambda x, rng: x + torch.rand(x.shape, generator=rng))
    before = task.train.x.clone()
    x, y = next(task.batches(generator(0)))
    moved = x.flatten() - y
    assert bool(((moved >= 0) & (moved < 1)).all()) and len(moved.unique()) == 5
    assert torch.equal(task.train.x, before)


def test_from_dataset_takes_the_augmentation_of_the_dataset_and_no_test_data():
    splits = {
        name: Split(torch.full((2, 1, 2, 2), value), torch.tensor([0, 1]))
        for name, value in (("train", 1.0), ("validation", 2.0), ("test", 3.0))
    }
    keywords = Dataset("spoken_keywords", ("a", "b"), **splits)
    task = Task.from_dataset(keywords, "mlp_gsc", Budget(1, 1e-3, 2))
    assert task.name == "spoken_keywords/mlp_gsc"
    assert task.augment is spoken_keywords.augment
    assert task.n_classes == 2 and task.input_shape == (1, 2, 2)
    assert task.train is splits["train"] and task.validation is splits["validation"]
    seen = [v for v in vars(task).values() if isinstance(v, Split)]
    assert all(split is not splits["test"] for split in seen)

    digits = dataclasses.replace(keywords, name="digits")
    assert Task.from_dataset(digits, "residual_cnn", Budget(1, 1e-3, 2)).augment is None


def test_from_dataset_takes_loss_and_score_of_the_dataset(monkeypatch):
    def loss(logits, y):
        return logits.sum()

    def score(logits, y):
        return 0.25

    monkeypatch.setattr(spoken_keywords, "loss", loss, raising=False)
    monkeypatch.setattr(spoken_keywords, "score", score, raising=False)
    split = Split(torch.zeros(2, 1, 2, 2), torch.tensor([0, 1]))
    dataset = Dataset("spoken_keywords", ("a", "b"), split, split, split)
    task = Task.from_dataset(dataset, "mlp_gsc", Budget(1, 1e-3, 2))
    assert task.loss(torch.ones(2, 2), split.y).item() == 4.0
    assert task.score(torch.ones(2, 2), split.y) == 0.25


def test_from_dataset_names_an_unknown_dataset():
    split = Split(torch.zeros(2, 1, 2, 2), torch.tensor([0, 1]))
    dataset = Dataset("nosuch", ("a", "b"), split, split, split)
    with pytest.raises(ValueError, match="unknown dataset 'nosuch', known are: .*digits"):
        Task.from_dataset(dataset, "mlp_gsc", Budget(1, 1e-3, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1e-3, 64), "epochs is 0"),
        ((1, 0.0, 64), "learning_rate is 0.0"),
        ((1, float("nan"), 64), "learning_rate is nan"),
        ((1, 1e-3, 1), "batch_size is 1"),
    ],
)
def test_budget_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        Budget(*arguments)


def test_loss_and_score_of_a_hand_worked_case(bars):
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 1.0], [5.0, 0.0]])
    y = torch.tensor([0, 1, 1, 1])
    per_sample = [torch.log(1 + torch.exp(torch.tensor(v))) for v in (-2.0, 0.0, -1.0, 5.0)]
    assert bars.loss(logits, y).item() == pytest.approx(torch.stack(per_sample).mean().item())
    # a tie goes to the first class
    assert bars.score(logits, y) == accuracy_score(logits, y) == 0.5


def mixed_model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(36), nn.Dropout(0.5), nn.Linear(36, 3))
    model.train()
    model[1].eval()
    return model


def test_predict_is_in_evaluation_mode_and_leaves_the_model(bars, global_rng_untouched):
    with torch.random.fork_rng():
        model = mixed_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    logits = predict(model, bars.validation.x, batch_size=7)
    assert not logits.requires_grad
    assert [m.training for m in model] == [True, False, True, True] and model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    reference = model.eval()(bars.validation.x)
    torch.testing.assert_close(logits, reference.detach())
    assert accuracy(model, bars.validation) == bars.score(reference, bars.validation.y)


def test_predict_restores_the_mode_after_an_exception(bars):
    model = mixed_model()
    with pytest.raises(RuntimeError):
        predict(model, torch.zeros(2, 1, 5, 5))
    assert [m.training for m in model] == [True, False, True, True] and model.training
