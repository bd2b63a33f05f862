"""Maps of a trained network, as the metrics meet them: correlated, partly zero, full of ties."""

import copy

import pytest
import torch

from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.tasks.datasets import cluttered_digits
from ecqx.tasks.models import small_vgg


@pytest.fixture(scope="session")
def real_maps():
    """Explainer -> (maps, maps of full precision), each (24, 32, 32), and the masks.

    The network is trained on cluttered digits for a second; the first maps are those of the same
    network with every weight rounded to one of about five levels.
    """
    data = cluttered_digits.prepare(0, None)
    torch.manual_seed(0)
    model = small_vgg.build(data.input_shape, len(data.classes))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for index in torch.randperm(len(data.train)).split(64):
        optimizer.zero_grad()
        logits = model(data.train.x[index])
        torch.nn.functional.cross_entropy(logits, data.train.y[index]).backward()
        optimizer.step()
    rounded = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in rounded.parameters():
            if parameter.ndim >= 2:
                step = parameter.abs().max() / 2
                parameter.copy_((parameter / step).round() * step)
    x, y = data.test.x[:24], data.test.y[:24]
    maps = {
        name: tuple(EXPLAINERS[name].fn(network, x, y) for network in (rounded, model))
        for name in ("gradient_x_input", "grad_cam")
    }
    return maps, data.test.mask[:24]
