"""Layout of weights in memory: chosen by the layers, of no consequence for what is computed."""

import copy

import pytest
import torch
from torch import nn

from ecqx.tasks import models
from ecqx.tasks.layout import lay_out


@pytest.mark.parametrize(
    ("name", "shape", "gains"),
    [
        ("small_vgg", (1, 32, 32), True),  # pools over maxima
        ("ds_cnn", (1, 15, 49), True),  # has convolutions channel by channel
        ("residual_cnn", (1, 8, 8), False),
        ("mlp_gsc", (1, 15, 49), False),
    ],
)
def test_networks_that_gain_from_it_are_laid_out_channels_last(name, shape, gains):
    torch.manual_seed(0)
    model = models.get(name).build(shape, 10).double().eval()
    x = torch.randn(4, *shape).double()
    before = copy.deepcopy(model)
    assert lay_out(model) is model
    kernels = [weight for weight in model.parameters() if weight.ndim == 4 and weight.shape[1] > 1]
    last = [weight.is_contiguous(memory_format=torch.channels_last) for weight in kernels]
    assert all(last) if gains else not any(last)
    assert torch.allclose(model(x), before(x), rtol=1e-10)


def test_networks_without_weights_stay():
    model = nn.Sequential(nn.MaxPool2d(2), nn.Flatten())
    assert lay_out(model) is model
