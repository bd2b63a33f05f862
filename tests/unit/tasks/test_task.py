import dataclasses

import pytest
import torch
from torch import nn

from ecqx.tasks import task as tasks
from ecqx.tasks.augmentation import crop_and_flip
from ecqx.tasks.data import Dataset, Split
from ecqx.tasks.datasets import spoken_keywords
from ecqx.tasks.scores import accuracy_score, mean_average_precision, multilabel_loss
from ecqx.tasks.task import Budget, Task, objective, predict, samples_at_once


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
    batches = list(task.batches(1))
    assert [len(x) for x, _ in batches] == sizes
    assert task.steps_per_epoch == len(sizes)
    drawn = torch.cat([y for _, y in batches])
    assert len(drawn.unique()) == sum(sizes)
    assert all(torch.equal(x.flatten(), y.float()) for x, y in batches)


def test_batches_depend_on_order_seed_and_epoch_alone(global_rng_untouched):
    """Whoever asks for an epoch sees it, whatever was drawn before: methods compare on the same."""

    def order(seed, epoch):
        task = dataclasses.replace(numbered_task(40, 40), order_seed=seed)
        next(task.batches(epoch + 1))
        return next(task.batches(epoch))[1]

    assert torch.equal(order(0, 1), order(0, 1))
    assert not torch.equal(order(0, 1), order(1, 1))
    assert not torch.equal(order(0, 1), order(0, 2))
    assert not torch.equal(order(0, 1), torch.arange(40))


def test_batches_are_augmented_and_the_data_stay():
    task = numbered_task(10, 5, augment=lambda x, rng: x + torch.rand(x.shape, generator=rng))
    before = task.train.x.clone()
    x, y = next(task.batches(1))
    moved = x.flatten() - y
    assert bool(((moved >= 0) & (moved < 1)).all()) and len(moved.unique()) == 5
    assert torch.equal(task.train.x, before)


def test_from_dataset_takes_the_augmentation_of_the_dataset_and_no_test_data():
    splits = {
        name: Split(torch.full((2, 1, 2, 2), value), torch.tensor([0, 1]))
        for name, value in (("train", 1.0), ("validation", 2.0), ("test", 3.0))
    }
    keywords = Dataset("spoken_keywords", ("a", "b"), **splits)
    task = Task.from_dataset(keywords, "mlp_gsc", Budget(1, 1e-3, 2), order_seed=0)
    assert task.name == "spoken_keywords/mlp_gsc"
    assert task.augment is spoken_keywords.augment
    assert task.n_classes == 2 and task.input_shape == (1, 2, 2)
    assert task.train is splits["train"] and task.validation is splits["validation"]
    seen = [v for v in vars(task).values() if isinstance(v, Split)]
    assert all(split is not splits["test"] for split in seen)

    digits = dataclasses.replace(keywords, name="digits")
    task = Task.from_dataset(digits, "residual_cnn", Budget(1, 1e-3, 2), order_seed=0)
    assert task.augment is None


def test_from_dataset_takes_loss_and_score_of_the_dataset(monkeypatch):
    def loss(logits, y):
        return logits.sum()

    def score(logits, y):
        return 0.25

    monkeypatch.setattr(spoken_keywords, "loss", loss, raising=False)
    monkeypatch.setattr(spoken_keywords, "score", score, raising=False)
    split = Split(torch.zeros(2, 1, 2, 2), torch.tensor([0, 1]))
    dataset = Dataset("spoken_keywords", ("a", "b"), split, split, split)
    task = Task.from_dataset(dataset, "mlp_gsc", Budget(1, 1e-3, 2), order_seed=0)
    assert task.loss(torch.ones(2, 2), split.y).item() == 4.0
    assert task.score(torch.ones(2, 2), split.y) == 0.25


def test_from_dataset_names_an_unknown_dataset():
    split = Split(torch.zeros(2, 1, 2, 2), torch.tensor([0, 1]))
    dataset = Dataset("nosuch", ("a", "b"), split, split, split)
    with pytest.raises(ValueError, match="unknown dataset 'nosuch', expected one of: .*digits"):
        Task.from_dataset(dataset, "mlp_gsc", Budget(1, 1e-3, 2), order_seed=0)


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


def test_the_objective_is_cross_entropy_and_accuracy_unless_samples_have_many_classes(bars):
    assert bars.loss is nn.functional.cross_entropy and bars.score is accuracy_score
    x = torch.zeros(3, 1, 2, 2)
    one = Split(x, torch.arange(3))
    many = Split(x, torch.eye(3, dtype=torch.bool))
    single, multiple = (Dataset("digits", ("a", "b", "c"), *3 * [split]) for split in (one, many))
    assert objective(single) == (nn.functional.cross_entropy, accuracy_score)
    assert objective(multiple) == (multilabel_loss, mean_average_precision)
    task = Task.from_dataset(multiple, "residual_cnn", Budget(1, 1e-3, 2), order_seed=0)
    assert (task.loss, task.score) == objective(multiple) and task.n_classes == 3


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
    torch.testing.assert_close(predict(model, bars.validation.x), reference.detach())


def test_predict_restores_the_mode_after_an_exception(bars):
    model = mixed_model()
    with pytest.raises(RuntimeError):
        predict(model, torch.zeros(2, 1, 5, 5))
    assert [m.training for m in model] == [True, False, True, True] and model.training


def test_predict_takes_fewer_of_large_inputs_at_once(bars):
    seen = []
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    for shape, sizes in (((600, 1, 2, 2), [512, 88]), ((45, 1, 224, 224), [20, 20, 5])):
        seen.clear()
        assert predict(model, torch.zeros(shape)).shape == shape[:2]
        assert seen == sizes
    assert samples_at_once((3, 5000, 5000)) == 1


def test_on_its_own_device_a_task_is_the_same(bars):
    moved = bars.to("cpu")
    assert moved.device == bars.device == torch.device("cpu")
    pairs = zip(moved.batches(1), bars.batches(1), strict=True)
    for one, other in pairs:
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_only_small_data_move_to_the_device(bars, monkeypatch):
    size = bars.train.nbytes + bars.validation.nbytes
    assert size == (90 + 45) * (36 * 4 + 8)
    moved = []
    monkeypatch.setattr(Split, "to", lambda split, device: moved.append(device) or split)
    monkeypatch.setattr(tasks, "_RESIDENT_BYTES", size)
    bars.to("cpu")
    assert moved == 2 * [torch.device("cpu")]
    monkeypatch.setattr(tasks, "_RESIDENT_BYTES", size - 1)
    stayed = bars.to("cuda")
    assert len(moved) == 2 and stayed.device == torch.device("cuda")
    assert stayed.train is bars.train and stayed.validation is bars.validation


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("resident", [True, False])
def test_a_gpu_gets_the_batches_of_the_cpu(bars, monkeypatch, resident):
    monkeypatch.setattr(tasks, "_RESIDENT_BYTES", 1 << 20 if resident else 0)
    bars = dataclasses.replace(bars, augment=lambda x, rng: crop_and_flip(x, rng, 1))
    task = bars.to("cuda")
    assert task.train.x.is_cuda == resident
    pairs = zip(task.batches(1), bars.batches(1), strict=True)
    for one, other in pairs:
        assert all(a.is_cuda and torch.equal(a.cpu(), b) for a, b in zip(one, other, strict=True))
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    expected = predict(model, bars.validation.x)
    logits = predict(model.cuda(), task.validation.x)
    assert logits.is_cuda == resident
    torch.testing.assert_close(logits.cpu(), expected)
