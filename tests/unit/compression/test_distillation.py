"""The logits of full precision as an additional loss."""

import copy

import pytest
import torch

from ecqx.checks import example
from ecqx.compression import methods
from ecqx.compression.distillation import TEMPERATURE, Distillation, Teacher, takes_penalty
from ecqx.compression.methods.uniform_ptq import UniformPTQ
from ecqx.compression.run import attempt_point, compress_point

SEED = ("compress", "test", 0)
TRAINED = [name for name in methods.NAMES if takes_penalty(methods.get(name)())]


@pytest.mark.parametrize("multilabel", [False, True])
def test_it_is_the_divergence_that_torch_computes(multilabel, small_cnn, small_task):
    x, y = small_task.train.x[:20], small_task.train.y[:20]
    logits = 3 * torch.randn(20, 3)
    distillation = Distillation(Teacher(small_cnn), multilabel)
    found = distillation(x, y, logits)
    teacher = copy.deepcopy(small_cnn).eval()(x).detach() / TEMPERATURE
    if multilabel:
        pairs = [torch.stack([own, -own], dim=-1) for own in (teacher, logits / TEMPERATURE)]
        aim, own = (torch.nn.functional.logsigmoid(pair).flatten(1) for pair in pairs)
    else:
        aim, own = teacher.log_softmax(1), (logits / TEMPERATURE).log_softmax(1)
    expected = torch.nn.functional.kl_div(own, aim, log_target=True, reduction="sum") / 20
    if multilabel:
        expected = expected / 3  # classes
    assert float(found.detach()) == pytest.approx(TEMPERATURE**2 * float(expected), rel=1e-5)
    same = distillation(x, y, small_cnn.eval()(x))
    assert float(same.detach()) == pytest.approx(0, abs=1e-5)


def test_losses_on_one_minibatch_share_a_forward_pass(small_cnn, small_task):
    teacher, ran = Teacher(small_cnn.train()), []
    teacher.network.register_forward_hook(lambda m, args, out: ran.append(m.training))
    x, same = small_task.train.x[:4], small_task.train.x[:4].clone()
    logits = teacher(x)
    assert torch.equal(teacher.logits(x), logits) and len(ran) == 1
    assert torch.equal(teacher.logits(same), logits) and ran == [False, False]
    assert small_cnn.training and all(p.requires_grad for p in small_cnn.parameters())


@pytest.mark.parametrize("name", TRAINED)
def test_every_method_that_trains_takes_it(name):
    model, task = example()
    plain = compress_point(methods.get(name), {}, model, task, SEED)
    off = compress_point(methods.get(name), {"distil": False}, model, task, SEED)
    on = compress_point(methods.get(name), {"distil": True}, model, task, SEED)
    assert plain.artefact == off.artefact != on.artefact
    assert on.history[0]["train_loss"] > plain.history[0]["train_loss"]


def test_all_but_those_that_do_not_train_or_distil_anyhow():
    untrained = {"uniform_ptq", "nncodec", "optq", "cerwu", "obs_relevance", "allocate"}
    assert set(methods.NAMES) - set(TRAINED) == untrained | {"distil"}
    model, task = example()
    outcome = attempt_point(UniformPTQ, {"distil": True}, model, task, SEED)
    assert outcome.status == "failed" and "takes no further loss" in outcome.reason
