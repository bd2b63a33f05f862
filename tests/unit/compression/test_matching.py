import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call

from ecqx.compression.assigners import Nearest
from ecqx.compression.contract import quantizable
from ecqx.compression.matching import AttributionMatching, collapse
from ecqx.compression.training import train_quantized
from ecqx.seeding import generator


def by_hand(student, teacher, split_at, x):
    """The penalty from the paper's formula, one sample and one channel at a time."""
    total, count = 0.0, 0
    for sample in x.split(1):
        maps = {}
        top = teacher(sample).argmax()
        for name, model in (("student", student), ("teacher", teacher)):
            features, head = model[:split_at], model[split_at:]
            activation = features(sample).detach().requires_grad_()
            (gradient,) = torch.autograd.grad(head(activation)[0, top], activation)
            q = torch.zeros(activation.shape[2:], dtype=activation.dtype)
            for channel in range(activation.shape[1]):
                q += gradient[0, channel].sum() * activation[0, channel].detach()
            q = q.clamp(min=0).flatten()
            maps[name] = q / q.norm() if q.norm() > 0 else q
        total += float((maps["student"] - maps["teacher"]).square().sum())
        count += maps["student"].numel()
    return total / count


def test_value_against_the_formula(small_cnn):
    torch.manual_seed(3)
    teacher = small_cnn.double().eval()
    student = copy.deepcopy(teacher)
    x = torch.randn(6, 1, 8, 8).double()
    with AttributionMatching(student, 7.0, x[:1]) as matching:
        with torch.no_grad():
            for p in student.parameters():
                p.add_(0.2 * torch.randn_like(p))
        penalty = matching(x, student(x))
    expected = 7.0 * by_hand(student, teacher, 5, x)
    assert float(penalty.detach()) == pytest.approx(expected, rel=1e-9)


def test_identical_networks_have_no_penalty(small_cnn):
    small_cnn.eval()
    x = torch.randn(4, 1, 8, 8)
    with AttributionMatching(small_cnn, 100.0, x[:1]) as matching:
        assert float(matching(x, small_cnn(x))) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("kind", ["cnn", "mlp"])
def test_double_backward_against_finite_differences(kind):
    """The student's sensitivities are differentiated too: gradcheck through the whole penalty."""
    torch.manual_seed(0)
    # softplus-like smoothness is not needed: the check point is away from the kinks
    body = (
        [nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 5), nn.Tanh(), nn.Linear(5, 3)]
        if kind == "cnn"
        else [nn.Flatten(), nn.Linear(36, 6), nn.Tanh(), nn.Linear(6, 3)]
    )
    student = nn.Sequential(*body).double()
    x = torch.randn(3, 1, 6, 6).double()
    with AttributionMatching(student, 100.0, x[:1]) as matching:
        start = {k: v.detach() + 0.3 * torch.randn_like(v) for k, v in student.named_parameters()}
        names = list(start)

        def penalty(*values):
            logits = functional_call(student, dict(zip(names, values, strict=True)), (x,))
            return matching(x, logits)

        values = [start[name].requires_grad_() for name in names]
        assert torch.autograd.gradcheck(penalty, values, eps=1e-6, atol=1e-6, rtol=1e-4)


def test_hooks_are_gone_afterwards_also_after_an_error(small_cnn):
    with (
        pytest.raises(RuntimeError, match="stop"),
        AttributionMatching(small_cnn, 1.0, torch.zeros(1, 1, 8, 8)),
    ):
        raise RuntimeError("stop")
    assert all(not m._forward_hooks for m in small_cnn.modules())


def test_no_weight_is_no_change(small_cnn, small_task):
    """gamma = 0 trains the same network as without matching."""
    plain = copy.deepcopy(small_cnn)
    expected = train_quantized(plain, small_task, Nearest(quantizable(plain), 4), generator("t"))
    with AttributionMatching(small_cnn, 0.0, small_task.train.x[:1]) as penalty:
        assigner = Nearest(quantizable(small_cnn), 4)
        found = train_quantized(small_cnn, small_task, assigner, generator("t"), penalty)
    for name in quantizable(plain):
        assert torch.equal(found.tensors[name].codes, expected.tensors[name].codes)


def test_matching_keeps_maps_closer(small_cnn, small_task):
    results = {}
    for gamma in (0.0, 100.0):
        model = copy.deepcopy(small_cnn)
        with AttributionMatching(model, gamma, small_task.train.x[:1]) as penalty:
            train_quantized(
                model, small_task, Nearest(quantizable(model), 3), generator("t"), penalty
            )
            model.eval()
            x = small_task.validation.x
            penalty.gamma = 1.0
            results[gamma] = float(penalty(x, model(x)))
    assert results[100.0] < results[0.0]


def test_dead_maps_give_finite_gradients():
    feature = torch.zeros(2, 3, 4, 4, requires_grad=True)
    output = feature.sum((1, 2, 3))[:, None] * 0
    maps = collapse(feature, output, create_graph=True)
    unit = torch.nn.functional.normalize(maps, dim=1, eps=1e-12)
    (gradient,) = torch.autograd.grad(unit.sum(), feature)
    assert bool(gradient.isfinite().all())
