import pytest
import torch
from torch import nn

from ecqx.compression.feature_maps import feature_layer
from ecqx.tasks.models import residual_cnn, small_vgg


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


def test_training_mode_and_hooks_stay_as_they_were():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    model[1].eval()
    feature_layer(model, torch.zeros(1, 1, 5, 5))
    assert (model[0].training, model[1].training) == (True, False)
    assert not model[0]._forward_hooks
