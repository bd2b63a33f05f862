"""Masks of pruned filters against networks from which channels are taken, or where they are cut."""

import copy

import pytest
import torch
from torch import nn

from ecqx.compression.filters import filter_layers, masks_of, smallest_filters
from ecqx.compression.unquantized_training import mask
from ecqx.tasks import models


def masked(model, kept, sample):
    found = copy.deepcopy(model)
    masks = masks_of(found, kept, sample)
    mask(dict(found.named_parameters()), masks)
    return found, masks


def flattened(width, hidden):
    """Two positions by three behind the last pooling, so that an order of columns shows."""
    return nn.Sequential(
        *(nn.Conv2d(2, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
        *(nn.Conv2d(width, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(30, hidden), nn.ReLU(), nn.Linear(hidden, 3)),
    ).eval()


def unlike_at_the_start(model):
    torch.manual_seed(0)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.randn_like(tensor))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_var.abs_().add_(0.5)
    return model


def test_it_computes_what_a_network_without_the_channels_does():
    """Built narrower, its weights taken channel by channel from the map before it was flattened."""
    model = unlike_at_the_start(flattened(4, 6))
    kept = {"0": torch.tensor([1, 0, 1, 1]).bool(), "3": torch.tensor([0, 1, 1, 0, 1]).bool()}
    x = torch.randn(7, 2, 4, 6)
    found, masks = masked(model, kept, x[:1])
    first, second = kept["0"], kept["3"]
    narrow = flattened(3, 6)
    narrow[3], narrow[7] = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(18, 6)
    with torch.no_grad():
        narrow[0].weight.copy_(model[0].weight[first])
        for name, tensor in narrow[1].named_parameters():
            tensor.copy_(getattr(model[1], name)[first])
        for name in ("running_mean", "running_var"):
            getattr(narrow[1], name).copy_(getattr(model[1], name)[first])
        narrow[3].weight.copy_(model[3].weight[second][:, first])
        narrow[3].bias.copy_(model[3].bias[second])
        narrow[7].weight.copy_(model[7].weight.view(6, 5, 2, 3)[:, second].flatten(1))
        narrow[7].bias.copy_(model[7].bias)
        narrow[9].load_state_dict(model[9].state_dict())
        torch.testing.assert_close(found(x), narrow(x), rtol=1e-4, atol=1e-4)
    left = sum(int(kept.sum()) for kept in masks.values())
    assert left == sum(p.numel() for p in narrow.parameters())


@pytest.mark.parametrize(
    "name", ["small_vgg", "residual_cnn", "resnet8", "resnet20", "resnet18", "vgg16", "mlp_gsc"]
)
def test_it_computes_what_a_network_does_whose_channels_are_cut(name):
    """In evaluation mode, cut behind their batch norms; only what no output depends on is gone."""
    torch.manual_seed(0)
    width = 0.25 if name in ("resnet18", "vgg16") else 1.0
    model = models.network(name, (1, 32, 32), 3, width=width)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias)
            nn.init.uniform_(module.running_mean)
    kept = smallest_filters(model, filter_layers(model), 0.4)
    x = torch.randn(2, 1, 32, 32)
    found, masks = masked(model, kept, x[:1])
    modules = list(model.named_modules())
    for (layer, module), (_, following) in zip(modules, [*modules[1:], ("", None)], strict=True):
        if layer in kept:
            cut = following if isinstance(following, nn.BatchNorm2d) else module
            alive = kept[layer].float()
            cut.register_forward_hook(
                lambda m, args, out, a=alive: out * a.view(-1, *[1] * (out.ndim - 2))
            )
    with torch.no_grad():
        expected = model(x)
        torch.testing.assert_close(found(x), expected, rtol=1e-4, atol=1e-5)
        # what stays matters
        sizes = [int(m.sum()) for n, m in masks.items() if n.endswith("weight") and m.ndim > 1]
        assert all(sizes) and sum(sizes) < 0.75 * sum(
            p.numel() for p in model.parameters() if p.ndim > 1
        )


def test_groups_sums_and_other_norms():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(1, 4, 1)
            self.grouped = nn.Conv2d(4, 4, 1, groups=2)
            self.side = nn.Conv2d(1, 4, 1)
            self.behind = nn.Conv2d(4, 2, 1)
            self.norm = nn.GroupNorm(1, 2)
            self.last = nn.Conv2d(2, 3, 1)

        def forward(self, x):
            y = self.grouped(self.first(x).relu()).relu()
            z = self.norm(self.behind(y + self.side(x).relu()))
            return self.last(z.relu()).mean((2, 3))

    model = Network()
    kept = {
        "first": torch.tensor([1, 0, 1, 1]).bool(),
        "grouped": torch.tensor([1, 1, 0, 0]).bool(),
        "side": torch.tensor([0, 1, 0, 1]).bool(),
        "behind": torch.tensor([True, False]),
    }
    masks = masks_of(model, kept, torch.zeros(1, 1, 2, 2))
    rows = masks["grouped.weight"].flatten(1).tolist()
    assert rows == [[True, False], [True, False], [False, False], [False, False]]
    # of a sum, only where both are zero
    assert masks["behind.weight"].flatten(1).tolist() == [[True, True, False, True], [False] * 4]
    # a group norm shifts by the mean of others: what it gives is never taken for zero
    assert masks["last.weight"].all()
    assert "norm.weight" not in masks


def test_the_filters_of_largest_norm_are_kept_at_least_one():
    layer = nn.Conv2d(1, 5, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([3.0, -5.0, 1.0, 4.0, -1.0]).view(5, 1, 1, 1))
    model = nn.Sequential(layer)
    for share, expected in (
        (0.0, [1, 1, 1, 1, 1]), (0.3, [1, 1, 1, 1, 0]), (0.4, [1, 1, 0, 1, 0]),
        (0.99, [0, 1, 0, 0, 0]),
    ):  # fmt: skip
        assert smallest_filters(model, ["0"], share)["0"].tolist() == [bool(n) for n in expected]
    assert filter_layers(model) == ["0"]
    assert filter_layers(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))) == ["0"]
