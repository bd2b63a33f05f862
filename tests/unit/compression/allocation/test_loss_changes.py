"""What recalling saves changes no number."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from ecqx.compression.allocation import loss_changes as module
from ecqx.compression.allocation.candidates import make_candidates
from ecqx.compression.allocation.loss_changes import loss_changes
from ecqx.compression.contract import quantizable
from ecqx.tasks.task import predict


class Odd(nn.Module):
    """Weights used in all ways: twice, outside of their layer, in place, in pieces, not at all."""

    def __init__(self):
        super().__init__()
        self.first, self.again = nn.Linear(8, 8), nn.Linear(8, 8)
        self.never = nn.Linear(3, 3)
        self.place = nn.Parameter(0.3 * torch.randn(8, 8))
        self.scale = nn.Parameter(torch.rand(1, 8))
        self.token = nn.Parameter(torch.randn(1, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.recurrent = nn.GRU(8, 8, batch_first=True)
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        x = self.first(x.flatten(1).unflatten(1, (8, 8)))
        x.add_(self.place).mul_(self.scale)
        x = nn.functional.relu(x, inplace=True)
        y = self.again(x)
        y[:, 0] = self.token
        y = self.attention(y, y, y, need_weights=False)[0]
        y += x
        y = nn.functional.linear(self.recurrent(y)[0], self.first.weight)
        y = self.again(y)
        return self.last(y.mean(dim=1))


@pytest.fixture(params=["cnn", "odd"])
def network(request, small_cnn):
    if request.param == "cnn":
        small_cnn[2] = nn.ReLU(inplace=True)
        return small_cnn
    torch.manual_seed(0)
    return Odd()


def few(candidates):
    """The first two of each weight."""
    return dataclasses.replace(
        candidates,
        codes={name: own[:2] for name, own in candidates.codes.items()},
        sizes=candidates.sizes[:, :2],
    )


def direct(model, candidates, x, y, loss):
    before = float(loss(predict(model, x), y))
    found = np.zeros(candidates.sizes.shape)
    for row, name in enumerate(candidates.codes):
        for column, codes in enumerate(candidates.codes[name]):
            other = copy.deepcopy(model)
            quantizable(other)[name].data = codes * candidates.grids[name][column].step
            found[row, column] = float(loss(predict(other, x), y)) - before
    return found


def test_as_evaluated_directly(network, small_task, monkeypatch):
    monkeypatch.setattr(module, "_MOST_SAMPLES", 8)  # the last part is shorter
    x, y = small_task.train.x[:12], small_task.train.y[:12]
    candidates = few(make_candidates(network, {}, 0.0))
    expected = direct(network, candidates, x, y, small_task.loss)
    state = copy.deepcopy(network.state_dict())
    found = loss_changes(network.train(), candidates, x, y, small_task.loss)
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert len(set(np.abs(expected).max(axis=1) > 1e-4)) == 1 + isinstance(network, Odd)
    assert network.training
    assert all(torch.equal(own, state[name]) for name, own in network.state_dict().items())


def test_what_comes_before_is_computed_once(small_cnn, small_task):
    multiplied = []
    original = torch.conv2d

    class Counting(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function is original:
                multiplied.append(args[1].shape)
            return function(*args, **(kwargs or {}))

    candidates = make_candidates(small_cnn, {}, 0.0)
    with Counting():
        loss_changes(small_cnn, candidates, small_task.train.x[:8], small_task.train.y[:8],
                     small_task.loss)  # fmt: skip
    n = candidates.sizes.shape[1]
    # once for all; for the first weight from it on, for the second likewise, for the last neither
    assert len([shape for shape in multiplied if shape[1] == 1]) == 1 + n
    assert len([shape for shape in multiplied if shape[1] == 6]) == 1 + 2 * n
