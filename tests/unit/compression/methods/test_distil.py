"""Students: their loss, their width, and how they come back out of an artefact."""

import copy

import pytest
import torch
from torch.nn import functional

import ecqx
from ecqx.checks import example
from ecqx.compression.artefact import bitstream
from ecqx.compression.contract import Quantized, make_method
from ecqx.compression.methods.distil import Distil
from ecqx.compression.run import attempt_point, compress_point
from ecqx.seeding import generator
from ecqx.tasks import models
from ecqx.tasks.data import Split
from ecqx.tasks.scores import mean_average_precision, multilabel_loss
from ecqx.tasks.task import Budget, Task, predict


def compressed(model, task, **params):
    return make_method(Distil, params).compress(copy.deepcopy(model), task, generator("t"))


def test_the_loss_of_the_first_step():
    """From the formula: 0.9 T^2 KL of the softened logits and 0.1 cross entropy."""
    model, task = example()
    short = Task(task.name, task.train, task.validation, 3, Budget(1, 1e-3, 96), build=task.build)
    found = compressed(model, short, width=0.5).history[0]["train_loss"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator("t"))))
        student = task.build(task.input_shape, 3, width=0.5)
    ((x, y),) = short.batches(1)
    own, aim = student.train()(x), model.eval()(x).detach()
    log_ratio = aim.div(4).log_softmax(1) - own.div(4).log_softmax(1)
    divergence = (aim.div(4).softmax(1) * log_ratio).sum(1).mean()
    expected = 0.9 * 16 * divergence + 0.1 * functional.cross_entropy(own, y)
    assert found == pytest.approx(float(expected.detach()), rel=1e-5)


@pytest.mark.parametrize("width", [0.5, 0.25])
def test_a_student_is_rebuilt_from_its_artefact(width):
    model, task = example()
    before = copy.deepcopy(model.state_dict())
    outcome = compress_point(Distil, {"width": width, "refine": "scales"}, model, task, ("t",))
    assert outcome.status == "ok"
    assert all(torch.equal(model.state_dict()[n], t) for n, t in before.items())
    architecture = bitstream.architecture(outcome.artefact)
    assert architecture == {"width": width}
    student = task.build(task.input_shape, 3, **architecture)
    bitstream.load(student, bitstream.decode(outcome.artefact))
    assert student[3].out_channels == 8 * width
    score = task.score(predict(student, task.validation.x), task.validation.y)
    chosen = outcome.history[outcome.epoch - 1]["validation_score"]
    assert score == pytest.approx(chosen, abs=0.05)
    with pytest.raises(ValueError, match="does not fit the model"):
        bitstream.load(copy.deepcopy(model), bitstream.decode(outcome.artefact))


def test_students_start_alike_whatever_is_matched():
    model, task = example()
    losses = {}
    for matching in ("none", "ewa", "swa", "sswa", "e2kd"):
        result = compressed(model, task, matching=matching, gamma=1e-6)
        losses[matching] = result.history[0]["train_loss"]
        assert isinstance(result.tensors["0.weight"], Quantized)
        heavier = compressed(model, task, matching=matching, gamma=100.0)
        own = heavier.history[0]["train_loss"]
        assert own == losses[matching] if matching == "none" else own > losses[matching]
    assert max(losses.values()) == pytest.approx(min(losses.values()), rel=1e-3)


def test_several_labels():
    generated = torch.Generator().manual_seed(0)
    x = torch.randn(40, 1, 8, 8, generator=generated)
    y = torch.rand(40, 3, generator=generated) > 0.5
    model, task = example()
    several = Task(
        "made/up", Split(x[:30], y[:30]), Split(x[30:], y[30:]), 3, Budget(1, 1e-3, 10),
        loss=multilabel_loss, score=mean_average_precision, build=task.build,
    )  # fmt: skip
    outcome = compress_point(Distil, {"matching": "swa"}, model, several, ("t",))
    assert outcome.status == "ok"


def test_what_cannot_be_built_or_matched_is_skipped():
    model, task = example()
    bare = Task(task.name, task.train, task.validation, 3, task.budget)
    reason = compress_point(Distil, {}, model, bare, ("t",)).reason
    assert reason == (
        "example/cnn: there is no function that builds the model in another architecture"
    )
    fixed = Task(
        task.name, task.train, task.validation, 3, task.budget, build=lambda shape, classes: model
    )
    assert compress_point(Distil, {}, model, fixed, ("t",)).reason == "the model takes no width"
    tiny = {"width": 0.1, "matching": "swa", "layers": "6"}
    assert "positions" in compress_point(Distil, tiny, model, task, ("t",)).reason
    further = attempt_point(Distil, {"distil": True}, model, task, ("t",))
    assert further.status == "failed" and "takes no further loss" in further.reason


def test_on_a_network_of_ones_own():
    model, task = example()
    splits = [(split.x, split.y) for split in (task.train, task.validation)]
    result = ecqx.compress(model, *splits, method="distil", epochs=1, build=task.build, width=0.5)
    architecture = ecqx.architecture(result.artefact)
    network = ecqx.load(result.artefact, task.build((1, 8, 8), 3, **architecture))
    x = task.validation.x
    assert torch.equal(predict(network, x), predict(result.model, x))
    full = 4 * sum(t.numel() for t in model.state_dict().values())
    assert result.compression_ratio == pytest.approx(full / len(result.artefact))
    with pytest.raises(ValueError, match="no function that builds"):
        ecqx.compress(model, *splits, method="distil", epochs=1)


def test_models_of_the_suite_by_their_names():
    model, task = example()
    build = models.get("small_vgg").build
    network = models.network("small_vgg", (1, 8, 8), 3)
    own = Task("digits/small_vgg", task.train, task.validation, 3, task.budget, build=build)
    result = compressed(network, own, width=0.25, matching="swa")
    decoded = models.network("small_vgg", (1, 8, 8), 3, **result.architecture)
    shapes = {name: tuple(tensor.shape) for name, tensor in decoded.state_dict().items()}
    assert shapes["0.weight"] == (2, 1, 3, 3)
    entries = {n: e.codes if isinstance(e, Quantized) else e for n, e in result.tensors.items()}
    assert {name: tuple(entry.shape) for name, entry in entries.items()} == shapes
