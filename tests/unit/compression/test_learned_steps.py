"""A method that trains the steps of its grids, written with nothing but the contract.

Source: Esser et al., "Learned Step Size Quantization", ICLR 2020, eq. 1 to 3 and section 2.2.
Deviations: biases and activations stay as they are, the first and last layer are quantized alike.
"""

import copy
import dataclasses
import math
from dataclasses import dataclass

import pytest
import torch

from ecqx import checks
from ecqx.compression.assignment.assigners import Assigner
from ecqx.compression.assignment.grid import Grid
from ecqx.compression.contract import check_range, parameter, quantizable
from ecqx.compression.training import QuantizedTraining, train_quantized
from ecqx.tasks.task import Budget

LOSS = torch.nn.functional.cross_entropy


class LearnedSteps(Assigner):
    """Nearest level, on a grid whose step is trained."""

    def __init__(self, weights, bits, share):
        self.share = share
        self.low, self.high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        self.steps = {
            name: (2 * weight.detach().abs().mean() / math.sqrt(self.high)).clamp(min=1e-8)
            for name, weight in weights.items()
        }
        self.grids = {}

    def parameter_groups(self, learning_rate):
        return [{"params": list(self.steps.values()), "lr": self.share * learning_rate}]

    def backward(self, shadows, gradients):
        through = {}
        for name, gradient in gradients.items():
            position = shadows[name] / self.steps[name]
            inside = (self.low < position) & (position < self.high)
            level = position.round().clamp(self.low, self.high)
            slope = torch.where(inside, level - position, level)
            scale = 1 / math.sqrt(position.numel() * self.high)
            self.steps[name].grad = (gradient * slope).sum() * scale
            through[name] = gradient * inside
        return through

    def codes(self, shadows):
        for name, step in self.steps.items():
            self.grids[name] = Grid(float(step.clamp_(min=1e-8)), self.low, self.high)
        return {name: self.grids[name].nearest(shadow) for name, shadow in shadows.items()}


@dataclass(frozen=True)
class LSQ:
    bits: int = parameter(4, label="bits per weight")
    share: float = parameter(0.1, role="variant")

    def __post_init__(self):
        check_range("bits", self.bits, 2, 8)
        check_range("share", self.share, 0.0, 10.0)

    def compress(self, model, task, rng, penalty=None):
        assigner = LearnedSteps(quantizable(model), self.bits, self.share)
        return train_quantized(model, task, assigner, penalty)


def test_it_passes_every_check():
    checks.check_method(LSQ(), *checks.example())


def surrogate(shadow, step, low, high):
    """The quantized weight, whose gradient autograd derives: rounding counts as the identity.

    The step's own gradient is scaled by 1 / sqrt(weights * high) on its way back.
    """
    scale = 1 / math.sqrt(shadow.numel() * high)
    step = (step - step * scale).detach() + step * scale
    position = (shadow / step).clamp(low, high)
    return (position + (position.round() - position).detach()) * step


@pytest.mark.parametrize("bits", [2, 4])
def test_gradients_are_those_that_autograd_derives(bits, small_cnn, small_task):
    x, y = small_task.train.x[:32], small_task.train.y[:32]
    with torch.no_grad():
        for weight in quantizable(small_cnn).values():
            # heavy tails, so that some weights lie beyond the outer levels
            weight.copy_(weight.abs().max() * (weight / weight.abs().max()) ** 3)
    start = {name: w.detach().clone() for name, w in quantizable(small_cnn).items()}
    assigner = LearnedSteps(quantizable(small_cnn), bits, 0.1)
    shadows = {name: w.clone().requires_grad_() for name, w in start.items()}
    steps = {name: s.clone().requires_grad_() for name, s in assigner.steps.items()}
    weights = {
        name: surrogate(shadow, steps[name], assigner.low, assigner.high)
        for name, shadow in shadows.items()
    }
    small_cnn.train()
    logits = torch.func.functional_call(copy.deepcopy(small_cnn), weights, x)
    LOSS(logits, y).backward()
    training = QuantizedTraining(small_cnn, assigner, 1e-3, 10)
    training.step(LOSS, x, y, None)
    for name in start:
        position = start[name] / steps[name].detach()
        assert bool((position > assigner.high).any()) or bits > 2
        assert steps[name].grad.abs() > 1e-6
        torch.testing.assert_close(
            assigner.steps[name].grad, steps[name].grad, rtol=1e-4, atol=1e-8
        )
        torch.testing.assert_close(
            training.shadows[name].grad, shadows[name].grad, rtol=1e-4, atol=1e-7
        )


def test_steps_have_a_learning_rate_of_their_own_that_is_annealed(small_cnn, small_task):
    x, y = small_task.train.x[:32], small_task.train.y[:32]
    assigner = LearnedSteps(quantizable(small_cnn), 4, 0.25)
    training = QuantizedTraining(small_cnn.train(), assigner, 1e-3, 2)
    before = {name: step.clone() for name, step in assigner.steps.items()}
    training.step(LOSS, x, y, None)
    for name, step in assigner.steps.items():
        # Adam's first step is the learning rate against the sign of the gradient
        assert float(step - before[name]) == pytest.approx(
            -0.25e-3 * float(step.grad.sign()), rel=1e-2
        )
        assert assigner.grids[name].step == float(step)
    network, steps = training.optimizer.param_groups
    assert (network["lr"], steps["lr"]) == (pytest.approx(0.5e-3), pytest.approx(0.125e-3))


def test_the_chosen_epoch_has_its_own_steps(small_cnn, small_task):
    seen, scores = [], iter([0.1, 0.9, 0.2, 0.3])
    assigner = LearnedSteps(quantizable(small_cnn), 4, 1.0)

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
    assigner = LearnedSteps(quantizable(small_mlp), 4, 0.1)
    before = {name: step.clone() for name, step in assigner.steps.items()}
    training = QuantizedTraining(small_mlp, assigner, 1e-2, 10)
    for _ in range(2):
        training.step(LOSS, x, y, None)
    moved = {name for name, step in assigner.steps.items() if not torch.equal(step, before[name])}
    assert moved == set(before) - {"unused.weight"}
