"""The metric of rounding errors against the outputs of the layers themselves."""

import pytest
import torch
from torch import nn

from ecqx.compression.obs.hessians import input_moments

LAYERS = {
    "linear": (nn.Linear(5, 4), (5,)),
    "linear of sequences": (nn.Linear(5, 4), (7, 5)),
    "convolution": (nn.Conv2d(3, 4, 3, stride=2, padding=1), (3, 9, 8)),
    "dilated, uneven": (nn.Conv2d(3, 4, (3, 2), padding=(2, 0), dilation=(2, 1)), (3, 9, 8)),
    "same": (nn.Conv2d(3, 4, (4, 3), padding="same"), (3, 9, 8)),
    "reflected": (nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), (3, 9, 8)),
    "circular": (nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), (3, 9, 8)),
    "grouped": (nn.Conv2d(6, 4, 3, groups=2), (6, 9, 8)),
    "depthwise": (nn.Conv2d(6, 12, 3, padding=1, groups=6), (6, 9, 8)),
    "of one dimension": (nn.Conv1d(6, 4, 3, stride=2, padding=2, groups=2), (6, 11)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_errors_of_weights_are_errors_of_outputs(name):
    """The mean squared change of the output is the quadratic form of the change of the weight."""
    torch.manual_seed(0)
    layer, shape = LAYERS[name]
    model = nn.Sequential(layer)
    x = torch.randn(600, *shape)
    moments = input_moments(model, x)["0.weight"]
    change = torch.randn_like(layer.weight)
    with torch.no_grad():
        before = layer(x)
        layer.weight += change
        difference = (layer(x) - before).double()
        layer.weight -= change
    groups = getattr(layer, "groups", 1)
    rows = change.double().flatten(1).reshape(groups, -1, moments.shape[1])
    expected = torch.einsum("gri,gij,grj->gr", rows, moments, rows).flatten()
    channels = -1 if isinstance(layer, nn.Linear) else 1
    found = difference.square().movedim(channels, 0).flatten(1).mean(dim=1)
    assert torch.allclose(found, expected, rtol=1e-4)


def test_what_runs_twice_counts_twice_and_the_model_comes_back():
    torch.manual_seed(0)
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.ReLU(), layer, nn.Dropout(), nn.ConvTranspose1d(4, 2, 1))
    model[4].forward = lambda x: x
    x = torch.randn(50, 4)
    with torch.no_grad():
        inputs = torch.cat([x, layer(x).relu()]).double()
    found = input_moments(model, x)
    assert list(found) == ["0.weight"]
    assert torch.allclose(found["0.weight"][0], inputs.T @ inputs / 100, rtol=1e-4, atol=1e-6)
    assert model.training and not layer._forward_hooks
