"""Steps that are trained, against what autograd derives."""

import copy
import dataclasses
import math

import pytest
import torch

from ecqx.compression.artefact import codec
from ecqx.compression.assignment.learned_steps import LearnedSteps
from ecqx.compression.contract import quantizable
from ecqx.compression.methods.lsq import LSQ, RateAwareLSQ
from ecqx.compression.training import QuantizedTraining, train_quantized
from ecqx.seeding import generator
from ecqx.tasks.task import Budget

LOSS = torch.nn.functional.cross_entropy


def assigner_of(model, levels=15, share=0.1, lam=0.0):
    return LearnedSteps(quantizable(model), levels=levels, lam=lam, share=share)


def coded(step):
    """The step that the bitstream has for it."""
    return codec.step_of(codec.nearest_qp(float(step)))


def surrogate(shadow, step, low, high):
    """The quantized weight, whose gradient autograd derives: rounding counts as the identity.

    The step's own gradient is scaled by 1 / sqrt(weights * high) on its way back.
    """
    scale = 1 / math.sqrt(shadow.numel() * high)
    step = (step - step * scale).detach() + step * scale
    position = (shadow / step).clamp(low, high)
    return (position + (position.round() - position).detach()) * step


@pytest.mark.parametrize("levels", [3, 4, 15])
def test_gradients_are_those_that_autograd_derives(levels, small_cnn, small_task):
    x, y = small_task.train.x[:32], small_task.train.y[:32]
    with torch.no_grad():
        for weight in quantizable(small_cnn).values():
            # heavy tails, so that some weights lie beyond the outer levels
            weight.copy_(weight.abs().max() * (weight / weight.abs().max()) ** 3)
    start = {name: w.detach().clone() for name, w in quantizable(small_cnn).items()}
    assigner = assigner_of(small_cnn, levels)
    for step in assigner.steps.values():
        step.fill_(coded(step))
    shadows = {name: w.clone().requires_grad_() for name, w in start.items()}
    steps = {name: s.clone().requires_grad_() for name, s in assigner.steps.items()}
    weights = {
        name: surrogate(shadow, steps[name], *assigner.ends[name])
        for name, shadow in shadows.items()
    }
    small_cnn.train()
    logits = torch.func.functional_call(copy.deepcopy(small_cnn), weights, x)
    LOSS(logits, y).backward()
    training = QuantizedTraining(small_cnn, assigner, 1e-3, 10)
    training.step(LOSS, x, y, None)
    for name in start:
        position = start[name] / steps[name].detach()
        assert bool((position > assigner.ends[name][1]).any()) or levels > 4
        assert steps[name].grad.abs() > 1e-6
        torch.testing.assert_close(
            assigner.steps[name].grad, steps[name].grad, rtol=1e-4, atol=1e-8
        )
        torch.testing.assert_close(
            training.shadows[name].grad, shadows[name].grad, rtol=1e-4, atol=1e-7
        )


def test_steps_have_a_learning_rate_of_their_own_that_is_annealed(small_cnn, small_task):
    x, y = small_task.train.x[:32], small_task.train.y[:32]
    assigner = assigner_of(small_cnn, share=0.25)
    training = QuantizedTraining(small_cnn.train(), assigner, 1e-3, 2)
    before = {name: step.clone() for name, step in assigner.steps.items()}
    training.step(LOSS, x, y, None)
    for name, step in assigner.steps.items():
        # Adam's first step is the learning rate against the sign of the gradient
        assert float(step - before[name]) == pytest.approx(
            -0.25e-3 * float(step.grad.sign()), rel=1e-2
        )
        assert assigner.grids[name].step == coded(step)
    network, steps = training.optimizer.param_groups
    assert (network["lr"], steps["lr"]) == (pytest.approx(0.5e-3), pytest.approx(0.125e-3))


def test_the_chosen_epoch_has_its_own_steps(small_cnn, small_task):
    seen, scores = [], iter([0.1, 0.9, 0.2, 0.3])
    assigner = assigner_of(small_cnn, share=1.0)

    def score(logits, y):
        seen.append({name: grid.step for name, grid in assigner.grids.items()})
        return next(scores)

    task = dataclasses.replace(small_task, budget=Budget(4, 1e-2, 32), score=score)
    result = train_quantized(small_cnn, task, assigner)
    assert result.epoch == 2
    for name in assigner.steps:
        assert result.tensors[name].step == seen[1][name]
        assert len({steps[name] for steps in seen}) == 4


def test_a_weight_outside_of_the_loss_keeps_its_step(small_mlp, small_task):
    x, y = small_task.train.x[:32], small_task.train.y[:32]
    small_mlp.unused = torch.nn.Linear(3, 3)
    small_mlp.forward = lambda x: torch.nn.Sequential(*list(small_mlp)[:-1])(x)
    assigner = assigner_of(small_mlp)
    before = {name: step.clone() for name, step in assigner.steps.items()}
    training = QuantizedTraining(small_mlp, assigner, 1e-2, 10)
    for _ in range(2):
        training.step(LOSS, x, y, None)
    moved = {name for name, step in assigner.steps.items() if not torch.equal(step, before[name])}
    assert moved == set(before) - {"unused.weight"}


def test_a_price_of_code_length_makes_zeros(small_cnn, small_task):
    sizes = []
    for lam in (0.0, 0.2, 0.6):
        method = RateAwareLSQ(levels=15, lam=lam)
        result = method.compress(copy.deepcopy(small_cnn), small_task, generator("x"))
        sizes.append(result.history[-1]["entropy_bytes"])
    assert sizes == sorted(sizes, reverse=True) and sizes[2] < 0.7 * sizes[0]


def test_without_a_price_it_is_lsq(small_cnn, small_task):
    results = [
        method.compress(copy.deepcopy(small_cnn), small_task, generator("x"))
        for method in (LSQ(levels=7), RateAwareLSQ(levels=7, lam=0.0))
    ]
    assert results[0].history == results[1].history
