from collections import OrderedDict

import pytest
import torch
from torch import nn

from ecqx.attribution.feature_maps import feature_layer, map_shapes, mid_feature_layer
from ecqx.tasks.models import residual_cnn, resnet20, small_vgg


def test_feature_layer():
    x = torch.zeros(1, 1, 8, 8)
    cnn = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 3),
    )
    assert feature_layer(cnn, x) == "2"
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3))
    assert feature_layer(mlp, x) == "2"
    with pytest.raises(ValueError, match="no feature map"):
        feature_layer(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), x)


@pytest.mark.parametrize(
    ("build", "shape", "behind"),
    [
        (small_vgg.build, (1, 32, 32), nn.MaxPool2d),
        (residual_cnn.build, (1, 8, 8), nn.AdaptiveAvgPool2d),
    ],
    ids=["small_vgg", "residual_cnn"],
)
def test_the_map_of_a_network_is_the_rectified_one_before_pooling(build, shape, behind):
    torch.manual_seed(0)
    model = build(shape, 10).eval()
    x = torch.randn(2, *shape)
    found = []
    layer = model.get_submodule(feature_layer(model, x[:1]))
    layer.register_forward_hook(lambda module, inputs, output: found.append(output))
    model(x)
    depth = max(i for i, module in enumerate(model) if isinstance(module, behind))
    assert torch.equal(found[-1], model[:depth](x))
    assert found[-1].ndim == 4
    assert found[-1].min() == 0


@pytest.mark.parametrize(
    ("build", "shape", "expected"),
    [
        (small_vgg.build, (1, 32, 32), (16, 16, 16)),
        (residual_cnn.build, (1, 8, 8), (12, 8, 8)),
        (resnet20.build, (3, 32, 32), (32, 16, 16)),
    ],
    ids=["small_vgg", "residual_cnn", "resnet20"],
)
def test_the_stage_before_ends_with_a_rectified_map_of_four_times_the_positions(
    build, shape, expected
):
    torch.manual_seed(0)
    model, x = build(shape, 10).eval(), torch.randn(1, *shape)
    layer = mid_feature_layer(model, x)
    found = []
    model.get_submodule(layer).register_forward_hook(lambda m, a, output: found.append(output))
    model(x)
    assert found[-1].shape[1:] == expected
    assert found[-1].min() == 0
    # nothing of that size runs later
    last = map_shapes(model, x, [feature_layer(model, x)]).popitem()[1]
    assert expected[1] * expected[2] == 4 * last[1] * last[2]
    names = [name for name, module in model.named_modules() if not list(module.children())]
    later = names[names.index(layer) + 1 :]
    shapes = map_shapes(model, x, later).values()
    assert all(len(part) == 1 or part[1:] != expected[1:] for part in shapes)


def test_without_a_smaller_map_the_middle_convolution_counts():
    layers = [nn.Conv2d(1, 2, 3, padding=1), nn.ReLU()]
    for _ in range(3):
        layers += [nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, 2))
    assert mid_feature_layer(model, torch.zeros(1, 1, 8, 8)) == "4"  # the second of four
    two = nn.Sequential(*model[:5], nn.Flatten(), nn.Linear(128, 2))
    assert mid_feature_layer(two, torch.zeros(1, 1, 8, 8)) == "1"
    one = nn.Sequential(*model[:2], nn.Flatten(), nn.Linear(128, 2))
    with pytest.raises(ValueError, match="no feature map before its last"):
        mid_feature_layer(one, torch.zeros(1, 1, 8, 8))


def test_a_rectifier_that_runs_again_is_not_the_stage_before():
    relu = nn.ReLU()
    model = nn.Sequential(nn.Conv2d(1, 2, 2, 2), relu, nn.Conv2d(2, 4, 2, 2), relu)
    assert mid_feature_layer(model, torch.zeros(1, 1, 8, 8)) == "0"


def test_training_mode_and_hooks_stay_as_they_were():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    model[1].eval()
    feature_layer(model, torch.zeros(1, 1, 5, 5))
    assert (model[0].training, model[1].training) == (True, False)
    assert not model[0]._forward_hooks


def blocks():
    features = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 5, 3, padding=1), nn.MaxPool2d(2)
    )
    head = nn.Sequential(nn.Flatten(), nn.Linear(80, 7), nn.ReLU(), nn.Linear(7, 3))
    return nn.Sequential(OrderedDict(features=features, head=head))


def test_map_shapes_of_single_layers_and_of_blocks():
    shapes = map_shapes(blocks(), torch.zeros(1, 1, 8, 8), ["head.2", "features", "features.1"])
    assert shapes == {"head.2": (7,), "features": (5, 4, 4), "features.1": (2, 8, 8)}
    assert list(shapes) == ["head.2", "features", "features.1"]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("feature.1", r"layers: 'feature.1' is unknown, close matches: features.1"),
        ("nowhere", r"layers: 'nowhere' is unknown, expected one of: features, .*head.3$"),
        ("", r"layers: '' is unknown, expected one of: features"),
    ],
)
def test_unknown_layers_are_named_beside_the_known_ones(layer, message):
    with pytest.raises(ValueError, match=message):
        map_shapes(blocks(), torch.zeros(1, 1, 8, 8), ["head", layer])


class Odd(nn.Module):
    """Outputs that are no feature maps, and a layer that is never used."""

    def __init__(self):
        super().__init__()
        self.rows = nn.Flatten(2)
        self.recurrent = nn.LSTM(16, 4, batch_first=True)
        self.unused = nn.ReLU()
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        return self.last(self.recurrent(self.rows(x))[0][:, -1])


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("rows", r"the output of 'rows' is of shape \(1, 2, 16\), expected \(n, channels, height"),
        ("recurrent", r"the output of 'recurrent' is a tuple, expected \(n, channels, height"),
        ("unused", r"'unused' is not called"),
    ],
)
def test_layers_without_a_map_are_refused(layer, message):
    model, x = Odd(), torch.zeros(1, 2, 4, 4)
    assert map_shapes(model, x, ["last"]) == {"last": (3,)}
    with pytest.raises(ValueError, match=f"layers: {message}"):
        map_shapes(model, x, ["last", layer])
    assert all(not module._forward_hooks for module in model.modules())


def test_of_a_layer_that_runs_twice_the_last_run_counts():
    relu = nn.ReLU()
    model = nn.Sequential(nn.Conv2d(1, 2, 3), relu, nn.Conv2d(2, 4, 3), relu)
    assert map_shapes(model, torch.zeros(1, 1, 8, 8), ["1"]) == {"1": (4, 4, 4)}
    assert feature_layer(model, torch.zeros(1, 1, 8, 8)) == "1"


def test_a_module_that_runs_again_behind_is_no_feature_map():
    class Shared(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu = torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU()
            self.hidden, self.head = torch.nn.Linear(36, 8), torch.nn.Linear(8, 2)

        def forward(self, x):
            x = self.relu(self.conv(x)).flatten(1)
            return self.head(self.relu(self.hidden(x)))

    assert feature_layer(Shared(), torch.randn(1, 1, 5, 5)) == "conv"
