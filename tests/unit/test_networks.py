"""Narrow networks of torchvision's: compressed, decoded, explained, with accounts of relevance."""

from functools import partial

import pytest
import torch
from torch import nn
from torchvision.models import DenseNet, GoogLeNet, MobileNetV2, VisionTransformer
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.efficientnet import EfficientNet, MBConvConfig
from torchvision.models.googlenet import BasicConv2d, Inception

import ecqx
from benchmarks.networks import CLASSES, account, patterns, trained, without_biases
from ecqx.attribution.weight_relevance import weight_relevance
from ecqx.compression.contract import quantizable
from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.tasks.own_model import OwnModel


def googlenet():
    return nn.Sequential(
        BasicConv2d(3, 8, kernel_size=3, stride=2),
        Inception(8, 4, 4, 8, 2, 4, 4),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        Inception(20, 4, 4, 8, 2, 4, 4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(20, CLASSES),
    )


def efficientnet():
    stages = [
        MBConvConfig(1, 3, 1, 8, 8, 1, 1.0, 1.0),
        MBConvConfig(4, 3, 2, 8, 12, 2, 1.0, 1.0),
    ]
    return EfficientNet(stages, dropout=0.2, last_channel=32, num_classes=CLASSES)


def vit():
    network = VisionTransformer(16, 4, 2, 2, 16, 32, num_classes=CLASSES)
    nn.init.normal_(network.heads.head.weight, std=0.2)
    return network


NETWORKS = {
    "mobilenet_v2": lambda: MobileNetV2(
        CLASSES, inverted_residual_setting=[[1, 8, 1, 1], [4, 12, 2, 2]]
    ),
    "efficientnet": efficientnet,
    "densenet": lambda: DenseNet(4, (2, 2), 8, num_classes=CLASSES),
    "googlenet": googlenet,
    "convnext": lambda: ConvNeXt(
        [CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 2)], num_classes=CLASSES
    ),
    "vit": vit,
}
# What keeps relevance without biases: the z-plus rule where nothing raises a unit; the position
# embedding and the class token, which are constants; the softmax, by its expansion.
KEEPS = {
    "mobilenet_v2": {"Conv2d"},
    "efficientnet": {"Conv2d"},
    "convnext": {"Conv2d"},
    "vit": {"Stack", "cat", "MultiheadAttention"},
}


@pytest.fixture(params=NETWORKS)
def network(request):
    torch.manual_seed(0)
    x, y = patterns(16, 40)
    return request.param, trained(NETWORKS[request.param](), x, y, 3), x, y


def test_compressed_decoded_and_explained(network):
    name, model, x, y = network
    compress = partial(
        ecqx.compress, model, (x, y), (x, y), levels=15, lam=0.3, epochs=1, learning_rate=1e-3
    )
    result, other = compress(method="ecqx"), compress(method="ecq")
    assert result.artefact != other.artefact
    decoded = ecqx.load(result.artefact, model)
    assert torch.equal(decoded(x), result.model(x))
    relevance = weight_relevance(decoded, x, y)
    missing = quantizable(decoded).keys() - relevance.keys()
    assert all(".fc1." in each or ".fc2." in each for each in missing)  # they make gates
    assert bool(missing) == (name == "efficientnet")
    assert all(bool(value.isfinite().all()) and value.any() for value in relevance.values())
    for explainer in EXPLAINERS.values():
        if not explainer.needs_background and explainer.applies(decoded) is None:
            maps = explainer.fn(decoded, x[:3], y[:3])
            assert maps.shape == (3, 16, 16) and bool(maps.isfinite().all()) and bool(maps.any())
    rectified = name in ("densenet", "googlenet")
    assert (EXPLAINERS["rap"].applies(decoded) is None) == rectified


def test_attention_is_differentiated_twice_where_maps_are_matched():
    torch.manual_seed(0)
    x, y = patterns(16, 20)
    result = ecqx.compress(vit(), (x, y), (x, y), method="wcam", epochs=1)
    assert result.epoch == 1


def test_accounts_of_relevance(network):
    name, model, x, y = network
    started, reached, kept = account(without_biases(model, x), x.double(), y)
    assert reached + sum(kept.values()) == pytest.approx(started, rel=1e-4)
    others = {kind: kept[kind] for kind in kept.keys() - KEEPS.get(name, set())}
    assert all(abs(value) < 5e-3 * abs(started) for value in others.values()), others
    if name not in KEEPS:
        assert reached == pytest.approx(started, rel=5e-3)
    # which takes more than that account to find out: biases keep what they contribute
    for module in model.modules():
        if getattr(module, "bias", None) is not None:
            nn.init.normal_(module.bias, std=0.5)
    started, _, kept = account(model.double(), x.double(), y)
    others = {kind: kept[kind] for kind in kept.keys() - KEEPS.get(name, set())}
    assert any(abs(value) > 5e-2 * abs(started) for value in others.values()), others


@pytest.mark.parametrize("auxiliary", [True, False])
def test_googlenet_is_taken_without_its_auxiliary_outputs(auxiliary, monkeypatch):
    def build(input_shape, n_classes):
        return GoogLeNet(n_classes, aux_logits=auxiliary, init_weights=False)

    monkeypatch.setattr(OwnModel, "_function", lambda self: build)
    own = OwnModel("mine", "nets:build")
    if auxiliary:
        with pytest.raises(ValueError, match="gives GoogLeNetOutputs in training mode, expected"):
            own.build((3, 32, 32), CLASSES)
    else:
        assert own.build((3, 32, 32), CLASSES).training
