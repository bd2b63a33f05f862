from collections import defaultdict

import pytest
import torch
import torchvision
from torch import nn
from zennit.layer import Sum

from ecqx.tasks import models

# Input shape and classes; a model that is not named here is tried on color images.
TASKS = defaultdict(
    lambda: ((3, 32, 32), 10),
    mlp_gsc=((1, 15, 49), 12),
    ds_cnn=((1, 15, 49), 12),
    small_vgg=((1, 32, 32), 10),
    residual_cnn=((1, 8, 8), 10),
)
LEAVES = (
    *(nn.Linear, nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d, nn.AvgPool2d),
    *(nn.AdaptiveAvgPool2d, nn.Flatten, nn.Dropout, nn.Identity, nn.ZeroPad3d, Sum),
)


@pytest.fixture
def narrow(monkeypatch):
    """The network with 134 M parameters, most of them in two dense layers, with narrow ones."""
    monkeypatch.setattr(models.get("vgg16_original"), "_HIDDEN", (32, 32))


@pytest.fixture(params=models.names())
def built(request, narrow):
    input_shape, n_classes = TASKS[request.param]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.get(request.param).build(input_shape, n_classes), input_shape, n_classes


def leaves(model):
    return [module for module in model.modules() if not list(module.children())]


def test_logits_and_gradients(built):
    model, input_shape, n_classes = built
    x = torch.randn(4, *input_shape)
    logits = model(x)
    assert logits.shape == (4, n_classes)
    logits.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.parameters())
    assert torch.isfinite(logits).all()


def test_layers_are_those_that_have_relevance_rules(built):
    for module in leaves(built[0]):
        assert isinstance(module, LEAVES), module
        assert not getattr(module, "inplace", False)


def test_every_module_is_used_once(built):
    model, input_shape, _ = built
    calls = {module: 0 for module in leaves(model)}

    def count(module, *_):
        calls[module] += 1

    handles = [module.register_forward_hook(count) for module in calls]
    model(torch.randn(2, *input_shape))
    for handle in handles:
        handle.remove()
    assert set(calls.values()) == {1}


def test_batch_norm_follows_its_convolution_in_the_same_sequence(built):
    followed = 0
    for container in built[0].modules():
        children = list(container.children())
        for before, module in zip([None, *children], children, strict=False):
            if isinstance(module, nn.BatchNorm2d):
                assert isinstance(container, nn.Sequential)
                assert isinstance(before, nn.Conv2d)
                assert before.out_channels == module.num_features and before.bias is None
                followed += 1
    assert followed == sum(isinstance(m, nn.BatchNorm2d) for m in built[0].modules())


@pytest.mark.parametrize("name", models.names())
def test_the_global_generator_decides_the_initialisation(name, narrow):
    def parameters(seed):
        torch.manual_seed(seed)
        model = models.get(name).build(*TASKS[name])
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    with torch.random.fork_rng():
        first, again, other = (parameters(seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", [n for n in models.names() if n != "vgg16_imagenet"])
def test_a_narrower_network_has_the_same_layers(name, narrow):
    """Inputs and classes keep their number; all between is halved."""
    full = models.get(name).build(*TASKS[name]).state_dict()
    for width, share in ((1.0, 1.0), (0.5, 0.5), (0.3, None)):
        model = models.get(name).build(*TASKS[name], width=width).eval()
        state = model.state_dict()
        assert state.keys() == full.keys()
        logits = model(torch.zeros(1, *TASKS[name][0]))
        assert logits.shape == (1, TASKS[name][1])
        if share is not None:
            for tensor, own in state.items():
                pairs = zip(own.shape, full[tensor].shape, strict=True)
                ratios = {found / usual for found, usual in pairs}
                assert ratios <= {1.0, share}, tensor
        weights = [t for t in state.values() if t.ndim > 1]
        assert (width == 1.0) == (
            sum(map(torch.Tensor.numel, weights))
            == sum(t.numel() for t in full.values() if t.ndim > 1)
        )
    with pytest.raises(ValueError, match="width is 0, expected a number above 0"):
        models.get(name).build(*TASKS[name], width=0)


def test_mlp_gsc_has_the_layers_of_the_paper():
    model = models.get("mlp_gsc").build(*TASKS["mlp_gsc"])
    linear = [m for m in model if isinstance(m, nn.Linear)]
    widths = [linear[0].in_features, *(m.out_features for m in linear)]
    assert widths == [735, 512, 512, 256, 256, 128, 128, 12]


def test_residual_cnn_adds_what_it_skips():
    """With a branch that returns nothing, a block passes on its (non-negative) input."""
    model = models.get("residual_cnn").build(*TASKS["residual_cnn"]).eval()
    blocks = [m for m in model if hasattr(m, "branch")]
    assert len(blocks) == 2
    for block in blocks:
        nn.init.zeros_(block.branch[-1].weight)
        x = torch.rand(3, block.branch[0].in_channels, 4, 4)
        assert torch.equal(block(x), x)
        nn.init.ones_(block.branch[-1].bias)
        torch.testing.assert_close(block(x), x + 1)


def test_small_vgg_keeps_an_8x8_map_for_its_last_convolution():
    model = models.get("small_vgg").build(*TASKS["small_vgg"])
    shapes = []
    for module in model:
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda *call: shapes.append(tuple(call[2].shape[2:])))
    model(torch.zeros(1, 1, 32, 32))
    assert shapes == [(16, 16), (16, 16), (8, 8)]


def test_small_vgg_refuses_sides_that_it_cannot_halve():
    with pytest.raises(ValueError, match="inputs are 30x32, expected multiples of 8"):
        models.get("small_vgg").build((1, 30, 32), 10)


@pytest.mark.parametrize(
    ("name", "n_classes", "parameters", "layers"),
    [
        # MLPerf Tiny's code: 24,908, with 9 * 64 biases and 9 * 2 * 64 statistics of batch norms
        ("ds_cnn", 12, 24_908 - 9 * 3 * 64, 10),
        # 78,666 there, with a bias and two statistics for each of 240 channels with batch norm
        ("resnet8", 10, 78_666 - 3 * 240, 7 + 2 + 1),
        # 0.27 M in the paper; 1.2 k of them are of batch norm
        ("resnet20", 10, 269_722, 20),
        # 13 convolutions of 14.71 M weights, batch norm for 4,224 channels, one dense layer
        ("vgg16", 10, 14_710_464 + 2 * 4_224 + 5_130, 14),
        # torchvision states these two for ImageNet's classes; three shortcuts have weights
        ("resnet18", 1000, 11_689_512, 18 + 3),
        ("vgg16_original", 1000, 138_357_544, 16),
    ],
)
def test_published_networks_have_their_number_of_parameters(name, n_classes, parameters, layers):
    with torch.device("meta"):
        model = models.get(name).build(TASKS[name][0], n_classes)
    assert sum(p.numel() for p in model.parameters()) == parameters
    weighted = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(weighted) == layers


def test_numbers_of_parameters_are_those_that_torchvision_states():
    stated = [
        description.IMAGENET1K_V1.meta["num_params"]
        for description in (torchvision.models.ResNet18_Weights, torchvision.models.VGG16_Weights)
    ]
    assert stated == [11_689_512, 138_357_544]


def test_resnet20_shortcuts_take_every_second_pixel_and_pad_channels():
    model = models.get("resnet20").build(*TASKS["resnet20"])
    x = torch.randn(2, 16, 8, 8)
    shortcut = model[6].shortcut(x)
    assert torch.equal(shortcut[:, 8:24], x[:, :, ::2, ::2])
    assert not shortcut[:, :8].any() and not shortcut[:, 24:].any()


def test_resnet20_has_three_stages_of_three_blocks():
    model = models.get("resnet20").build(*TASKS["resnet20"])
    shapes = []
    for module in model.modules():
        if isinstance(module, Sum):
            module.register_forward_hook(lambda *call: shapes.append(tuple(call[2].shape[1:])))
    model(torch.zeros(1, 3, 32, 32))
    assert shapes == 3 * [(16, 32, 32)] + 3 * [(32, 16, 16)] + 3 * [(64, 8, 8)]


def test_ds_cnn_halves_both_sides_once_and_mixes_channels_apart_from_positions():
    model = models.get("ds_cnn").build(*TASKS["ds_cnn"]).eval()
    convolutions = [module for module in model if isinstance(module, nn.Conv2d)]
    assert [conv.kernel_size for conv in convolutions] == [(4, 10), *4 * [(3, 3), (1, 1)]]
    assert [conv.groups for conv in convolutions] == [1, *4 * [64, 1]]
    shapes = []
    for convolution in convolutions:
        convolution.register_forward_hook(lambda *call: shapes.append(tuple(call[2].shape[1:])))
    model(torch.zeros(1, 1, 15, 49))
    assert shapes == 9 * [(64, 8, 25)]


def test_resnet8_has_a_block_in_each_of_three_stages():
    model = models.get("resnet8").build(*TASKS["resnet8"])
    shapes = []
    for module in model.modules():
        if isinstance(module, Sum):
            module.register_forward_hook(lambda *call: shapes.append(tuple(call[2].shape[1:])))
    model(torch.zeros(1, 3, 32, 32))
    assert shapes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]


def test_networks_for_large_images_refuse_what_they_cannot_halve():
    with pytest.raises(ValueError, match="inputs are 224x31, expected at least 32x32"):
        models.get("vgg16_original").build((3, 224, 31), 10)


def test_vgg16_refuses_sides_that_it_cannot_halve():
    with pytest.raises(ValueError, match="inputs are 28x28, expected multiples of 32"):
        models.get("vgg16").build((1, 28, 28), 10)
