"""Multiply-accumulates against torch's own counter, and where weights are zero."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ecqx.compression.operations import multiply_accumulates
from ecqx.tasks import models


def others():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, groups=2), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2),
        nn.Flatten(2), nn.Conv1d(3, 5, 3, dilation=2), nn.Linear(21, 6), nn.Flatten(),
        nn.Linear(30, 3),
    )  # fmt: skip


CASES = {
    "small_vgg": lambda: (models.network("small_vgg", (1, 16, 16), 3), (1, 16, 16)),
    "resnet20": lambda: (models.network("resnet20", (3, 8, 8), 3, width=0.25), (3, 8, 8)),
    "mlp_gsc": lambda: (models.network("mlp_gsc", (1, 3, 4), 3, width=0.1), (1, 3, 4)),
    "others": lambda: (others(), (2, 10, 10)),
}


@pytest.mark.parametrize("case", CASES)
def test_they_are_half_the_flops_that_torch_counts(case):
    model, shape = CASES[case]()
    x = torch.randn(1, *shape)
    with FlopCounterMode(display=False) as counter:
        model(x)
    assert 2 * multiply_accumulates(model, x) == counter.get_total_flops()
    assert not any(module._forward_hooks for module in model.modules())


def test_weights_that_are_zero_do_not_count():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(32, 3))
    x = torch.zeros(1, 1, 6, 6)
    assert multiply_accumulates(model, x) == 18 * 16 + 96
    with torch.no_grad():
        model[0].weight[0] = 0
        model[2].weight[:, :5] = 0
    assert multiply_accumulates(model, x) == 9 * 16 + 96 - 15
