"""What forward computes outside of modules is explained as what it is."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from zennit.layer import Sum

from ecqx.attribution.dataflow import dataflow
from ecqx.attribution.lrp import check_rules, composite
from ecqx.attribution.weight_relevance import weight_relevance
from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.tasks.task import evaluating, out_of_place


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


class Net(nn.Module):
    """Two convolutions whose outputs are joined, and a dense layer."""

    def __init__(self, join, channels=4):
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.join, self.head = join, nn.Linear(channels, 3)

    def forward(self, x):
        x = self.first(x)
        return self.head(self.join(x, self.second(x)))


def as_computed(model, x):
    """The logits that relevance starts from, and those of the network."""
    with torch.no_grad(), evaluating(model):
        expected = model(x)
    rules = composite("epsilon_plus_flat")
    with evaluating(model), out_of_place(model), rules.context(model) as explained:
        return explained(x.clone().requires_grad_()).detach(), expected


class Joined(nn.Module):
    """Modules for all that the forms below compute."""

    def __init__(self):
        super().__init__()
        self.sum, self.relu, self.act = Sum(dim=-1), nn.ReLU(), nn.GELU()
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x, y):
        y = self.act(self.relu(y))
        return self.pool(self.sum(torch.stack([x, y], dim=-1))).flatten(1)


def in_place(x, y):
    y = functional.gelu(functional.relu(y, inplace=True))
    y += x
    return y.mean([2, 3])


FORMS = {
    "functions": lambda x, y: torch.mean(
        torch.add(x, functional.gelu(torch.relu(y))), dim=(-1, -2)
    ),
    "operators": lambda x, y: functional.adaptive_avg_pool2d(
        functional.gelu(y.relu()) + x, 1
    ).flatten(1),
    "methods": lambda x, y: functional.gelu(y.relu()).add(x).flatten(2).mean(-1),
    "summed": lambda x, y: (functional.gelu(y.relu()) + x).sum((2, 3)) / 36,
    "pooled": lambda x, y: functional.avg_pool2d(x + functional.gelu(y.relu()), 6)[:, :, 0, 0],
    "in place": in_place,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_forms_of_the_same_network_have_the_same_relevance(form):
    model, modules = Net(form).double(), Net(Joined()).double()
    modules.load_state_dict(model.state_dict())
    x, target = torch.randn(5, 2, 6, 6).double(), torch.arange(5) % 3
    found, expected = (weight_relevance(each, x, target) for each in (model, modules))
    assert list(found) == list(expected)
    for name, value in expected.items():
        # stabilisers add to sums what they add to means
        assert torch.allclose(found[name], value, rtol=1e-4), name
    logits, right = as_computed(model, x)
    assert torch.equal(logits, right)
    assert dataflow(modules).operations == {}
    explain = EXPLAINERS["lrp_epsilon_plus_flat"].fn
    assert torch.allclose(explain(model, x, target), explain(modules, x, target), rtol=1e-4)
    assert list(model.state_dict()) == list(modules.state_dict())


def attended(x, y):
    q, k = x.flatten(2).transpose(1, 2), y.flatten(2).transpose(1, 2)
    return functional.scaled_dot_product_attention(q, k, k).mean(1)


def attended_by_hand(x, y):
    q, k = x.flatten(2).transpose(1, 2), y.flatten(2).transpose(1, 2)
    return (((q @ k.transpose(-1, -2)) / q.size(-1) ** 0.5).softmax(-1) @ k).mean(1)


JOINS = {
    "product": lambda x, y: (x * y).mean((2, 3)),
    "gate": lambda x, y: (torch.sigmoid(y) * x).mean((2, 3)),
    "factors": lambda x, y: (-(2.0 * x) / 3 - y * 0.5).mean((2, 3)),
    "difference": lambda x, y: (1 - x - y).mean((2, 3)),
    "normalised": lambda x, y: functional.layer_norm(x + y, [4, 6, 6]).mean((2, 3)),
    "activations": lambda x, y: (functional.silu(x) + functional.hardswish(y)).mean((2, 3)),
    "concatenated": lambda x, y: torch.cat([x, y], 1)[:, 2:6].mean((2, 3)),
    "attention": attended,
    "attention by hand": attended_by_hand,
}


@pytest.mark.parametrize("join", JOINS.values(), ids=JOINS)
def test_relevance_starts_from_the_logits_of_the_network(join):
    model, x = Net(join), torch.randn(5, 2, 6, 6)
    logits, right = as_computed(model, x)
    assert torch.allclose(logits, right, atol=1e-6)
    relevance = weight_relevance(model, x, torch.arange(5) % 3)
    assert all(bool(value.any()) and bool(value.isfinite().all()) for value in relevance.values())


def test_attention_is_the_same_by_hand():
    x, target = torch.randn(5, 2, 6, 6).double(), torch.arange(5) % 3
    one = Net(attended).double()
    other = Net(attended_by_hand).double()
    other.load_state_dict(one.state_dict())
    found, expected = (weight_relevance(each, x, target) for each in (one, other))
    for name, value in expected.items():
        assert (found[name] - value).norm() < 1e-3 * value.norm(), name


def test_what_makes_a_gate_has_no_relevance():
    x, target = torch.randn(5, 2, 6, 6), torch.arange(5) % 3
    gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1), nn.Hardsigmoid())

    class Excited(Net):
        def __init__(self):
            super().__init__(None)
            self.gate = gate

        def forward(self, x):
            x = self.second(self.first(x))
            return self.head((x * self.gate(x)).mean((2, 3)))

    found = weight_relevance(Excited(), x, target)
    assert set(found) == {"first.weight", "second.weight", "head.weight"}
    check_rules(Excited())


class Scaled(nn.Module):
    """A position embedding and a factor per channel, one of them frozen."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(4, 4), nn.Linear(4, 3, bias=False)
        self.position = nn.Parameter(torch.randn(1, 4))
        self.scale = nn.Parameter(torch.randn(1, 4), requires_grad=False)

    def forward(self, x):
        return self.head((self.first(x) + self.position) * self.scale)


def test_weights_that_forward_uses_itself_have_relevance():
    model = Scaled().double()
    x, target = torch.randn(5, 4).double(), torch.arange(5) % 3
    found = weight_relevance(model, x, target)
    assert list(found) == ["first.weight", "head.weight", "position", "scale"]
    # by hand: the epsilon rule of the head, then the factors, then the terms
    with torch.no_grad():
        first = model.first(x)
        total = first + model.position
        logits = model(x)
        weight = model.head.weight[target]
        stable = logits + 1e-6 * logits.sign()
        start = logits.gather(1, target[:, None]) / 5
        of_head = total * model.scale * weight * start / stable.gather(1, target[:, None])
        assert torch.allclose(found["scale"], of_head.sum(0, keepdim=True), rtol=1e-6)
        of_position = model.position * of_head / (total + 1e-6 * total.sign())
        assert torch.allclose(found["position"], of_position.sum(0, keepdim=True), rtol=1e-6)
    assert model.position.requires_grad and not model.scale.requires_grad
    assert model.position.grad is None


class Written(nn.Module):
    """Dense layers as functions of parameters."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.weight, self.bias = nn.Parameter(torch.randn(3, 6)), nn.Parameter(torch.randn(3))

    def forward(self, x):
        return functional.linear(functional.relu(self.first(x)), self.weight, self.bias)


def test_dense_layers_written_as_functions():
    model = Written().double()
    layers = nn.Sequential(model.first, nn.ReLU(), nn.Linear(6, 3)).double()
    layers[2].weight.data, layers[2].bias.data = model.weight.data, model.bias.data
    x, target = torch.randn(5, 4).double(), torch.arange(5) % 3
    found, expected = (weight_relevance(each, x, target) for each in (model, layers))
    pairs = {"first.weight": "0.weight", "weight": "2.weight"}
    assert found.keys() == pairs.keys()
    for name, other in pairs.items():
        assert torch.allclose(found[name], expected[other], rtol=1e-6), name


class Excitation(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.pool, self.mix = nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1)
        self.squash = nn.Sigmoid()

    def forward(self, x):
        return x * self.squash(self.mix(self.pool(x)))


class ExcitedBlock(BasicBlock):
    """Squeeze and excitation in a class that inherits from a block without it."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.excitation = Excitation(self.bn2.num_features)

    def forward(self, x):
        aside = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.excitation(self.bn2(self.conv2(x))) + aside)


class HalvedBlock(Bottleneck):
    def forward(self, x):
        return 0.5 * super().forward(x)


class Standardised(nn.Conv2d):
    """Computes with another weight than it has."""

    def forward(self, x):
        return self._conv_forward(x, self.weight - self.weight.mean(), self.bias)


class Centred(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight - weight.mean(), bias)


class Quiet(nn.ReLU):
    def forward(self, x):
        return torch.sin(x)


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck, ExcitedBlock, HalvedBlock])
def test_blocks_that_inherit_from_others_are_explained_as_what_they_are(block):
    model = ResNet(block, [1, 1, 1, 1], num_classes=3)
    with torch.no_grad():  # activations of a usual size
        model.train()(torch.randn(8, 3, 32, 32))
    logits, right = as_computed(model, torch.randn(4, 3, 32, 32))
    assert torch.allclose(logits, right, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (Standardised(1, 4, 3), r"0 \(Standardised\): "),
        (Centred(1, 4, 3), r"0 \(Centred\): "),
        (Quiet(), r"0 \(Quiet\): sin"),
        (
            nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)),
            r".*0 \(Parametrized\w+\): linear",
        ),
    ],
)
def test_layers_that_inherit_from_others_are_refused(layer, named):
    with pytest.raises(ValueError, match=f"^no LRP rule for: {named}"):
        check_rules(nn.Sequential(layer, nn.Flatten(), nn.LazyLinear(3)))


def test_a_function_in_place_of_a_layers_own_is_not_overlooked():
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    model[1].forward = torch.sin
    with pytest.raises(ValueError, match=r"^no LRP rule for: 1 \(ReLU\): sin$"):
        check_rules(model)


def test_weights_that_are_no_parameters_are_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = nn.Sequential(nn.utils.weight_norm(nn.Linear(8, 8)), nn.Linear(8, 3))
    with pytest.raises(ValueError, match=r"0 \(Linear\): its weight is no parameter$"):
        check_rules(model)


def test_other_explainers_name_what_they_have_no_rule_for():
    model = ResNet(ExcitedBlock, [1, 1, 1, 1], num_classes=3).eval()
    for name in ("rap", "excitation_backprop"):
        assert "Sigmoid" in EXPLAINERS[name].applies(model)
    product = nn.Sequential(Net(JOINS["product"]), nn.ReLU(), nn.Linear(3, 2))
    for name in ("rap", "excitation_backprop"):
        reason = "operations that LRP alone has a rule for: Product"
        assert EXPLAINERS[name].applies(product) == reason
    assert EXPLAINERS["rap"].applies(Net(FORMS["operators"])) is not None


def test_the_network_comes_back_as_it_was():
    model = Net(FORMS["operators"])
    x = torch.randn(5, 2, 6, 6)
    before = [*model.named_modules()], {**vars(model)}
    weight_relevance(model, x, torch.arange(5) % 3)
    assert [*model.named_modules()] == before[0] and vars(model).keys() == before[1].keys()
    assert "forward" not in vars(model)
