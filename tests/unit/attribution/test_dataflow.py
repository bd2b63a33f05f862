"""The forward pass as LRP needs to know it: order of layers, batch norms, what is no module."""

import gc
import weakref

import pytest
import torch
import torchvision
from torch import nn
from zennit.layer import Sum

from ecqx.attribution.dataflow import dataflow
from ecqx.attribution.lrp import check_rules, composite
from ecqx.attribution.weight_relevance import weight_relevance
from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.tasks import models


class Shuffled(nn.Module):
    """Modules registered in another order than they run in."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)
        self.second = nn.Conv2d(5, 4, 3)
        self.norm = nn.BatchNorm2d(5)
        self.first = nn.Conv2d(1, 5, 3)
        self.relus = nn.ModuleList([nn.ReLU(), nn.ReLU()])
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        x = self.relus[0](self.norm(self.first(x)))
        x = self.relus[1](self.second(x))
        return self.head(self.pool(x).flatten(1))


def in_order(shuffled):
    """The same layers as a Sequential, where they stand as they run."""
    return nn.Sequential(
        shuffled.first, shuffled.norm, shuffled.relus[0], shuffled.second, shuffled.relus[1],
        shuffled.pool, nn.Flatten(), shuffled.head,
    )  # fmt: skip


@pytest.fixture
def shuffled():
    torch.manual_seed(0)
    model = Shuffled().double().eval()
    model.norm.running_mean.normal_()
    model.norm.running_var.uniform_(0.5, 2)
    model.norm.weight.data.uniform_(0.5, 2)
    return model


def test_layers_are_known_in_the_order_in_which_they_run(shuffled):
    flow = dataflow(shuffled)
    assert flow.layers == ("first", "norm", "relus.0", "second", "relus.1", "pool", "head")
    assert flow.normalised == (("first", "norm"),)
    assert flow.operations == {} and flow.without_rule == ()


def test_merging_leaves_the_output_as_it_was(shuffled):
    x = torch.randn(4, 1, 9, 9).double()
    expected = shuffled(x)
    with composite("epsilon_plus_flat").context(shuffled) as merged, torch.no_grad():
        assert torch.allclose(merged(x), expected, rtol=1e-4)
        assert torch.equal(merged.norm.weight, torch.ones(5).double()), "nothing was merged"
    assert torch.equal(shuffled(x), expected)


def test_relevance_does_not_depend_on_the_order_of_registration(shuffled):
    x, target = torch.randn(4, 1, 9, 9).double(), torch.tensor([0, 1, 2, 0])
    found = weight_relevance(shuffled, x, target)
    expected = weight_relevance(in_order(shuffled), x, target)
    for name, position in {"first": 0, "second": 3, "head": 7}.items():
        assert torch.equal(found[f"{name}.weight"], expected[f"{position}.weight"])


@pytest.mark.parametrize("name", ["lrp_epsilon_plus_flat", "rap", "excitation_backprop"])
def test_explanations_do_not_depend_on_it_either(shuffled, name):
    x, target = torch.randn(4, 1, 9, 9).double(), torch.tensor([0, 1, 2, 0])
    explain = EXPLAINERS[name].fn
    assert torch.equal(explain(shuffled, x, target), explain(in_order(shuffled), x, target))


class Residual(nn.Module):
    def __init__(self, join):
        super().__init__()
        self.layer, self.relu, self.join = nn.Linear(4, 4), nn.ReLU(), join

    def forward(self, x):
        return self.join(x, self.relu(self.layer(x)))


def overwritten_behind_a_view(x, y):
    rows = y.flatten(1)
    rows.mul_(2.0)
    return y


@pytest.mark.parametrize(
    ("join", "named"),
    [
        (lambda x, y: torch.einsum("ij,ij->ij", x, y), "einsum"),
        (lambda x, y: y.exp(), "exp"),
        (lambda x, y: x / y, "div"),
        (lambda x, y: y.mean(), "mean"),
        (lambda x, y: torch.add(x, y, alpha=2), "add"),
        (lambda x, y: nn.functional.dropout(y), "dropout in evaluation mode"),
        (lambda x, y: nn.functional.relu(x, inplace=True) + x, "overwrites what is used again"),
        (overwritten_behind_a_view, "overwrites what is used again"),
    ],
)
def test_other_computation_outside_of_modules_has_no_rule(join, named):
    with pytest.raises(ValueError, match=f"^no LRP rule for: forward: {named}$"):
        check_rules(Residual(join))
    inside = nn.Sequential(nn.Linear(4, 4), Residual(join))
    with pytest.raises(ValueError, match=rf"^no LRP rule for: 1 \(Residual\): {named}$"):
        check_rules(inside)


def test_layers_that_overwrite_what_is_used_again_are_refused():
    """In place, the sum is that of what the rectifier leaves; elsewhere it would be another."""

    class Before(nn.Module):
        def __init__(self, inplace):
            super().__init__()
            self.relu, self.layer = nn.ReLU(inplace), nn.Linear(4, 4)

        def forward(self, x):
            return self.layer(self.relu(x)) + x

    check_rules(Before(False))
    with pytest.raises(ValueError, match=r"relu \(ReLU\): overwrites what is used again$"):
        check_rules(nn.Sequential(nn.Linear(4, 4), Before(True)))


@pytest.mark.parametrize(
    "join",
    [
        lambda x, y: nn.functional.relu(y),
        lambda x, y: y.reshape(y.shape[0], y.size(1) // 2 * 2),
        lambda x, y: torch.cat([x, y], dim=1)[:, : 2 * 2],
    ],
)
def test_moving_and_selecting_activations_needs_no_rule(join):
    check_rules(Residual(join))


def test_a_forward_pass_that_depends_on_values_is_refused():
    with pytest.raises(ValueError, match="the forward pass of Residual cannot be traced"):
        check_rules(Residual(lambda x, y: y if y.sum() > 0 else x))


def test_a_batch_norm_is_merged_only_where_nothing_else_takes_the_output():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.norm, self.sum = nn.Linear(4, 4), nn.BatchNorm1d(4), Sum(dim=-1)

        def forward(self, x):
            x = self.layer(x)
            return self.sum(torch.stack([x, self.norm(x)], dim=-1))

    assert dataflow(Twice()).normalised == ()
    plain = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, affine=False))
    assert dataflow(plain).normalised == ()


def test_every_shipped_model_can_be_followed():
    for name in models.names():
        shape = (1, 15, 49) if name == "mlp_gsc" else (3, 224, 224)
        if name in ("small_vgg", "residual_cnn"):
            shape = (1, 16, 16)
        model = models.get(name).build(shape, 10)
        check_rules(model)
        norms = sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
        assert len(dataflow(model).normalised) == norms, name


def test_torchvisions_resnets_are_taken_as_they_are():
    """The same weights in a network whose sums are modules have the same relevance."""
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(num_classes=5).double().eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    before = {name: value.clone() for name, value in theirs.state_dict().items()}
    ours = models.get("resnet18").build((3, 64, 64), 5).double().eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), before.values(), strict=True)))
    x, target = torch.randn(3, 3, 64, 64).double(), torch.tensor([0, 1, 2])
    for treatment in ("merge", "pass"):
        found = weight_relevance(theirs, x, target, batch_norm=treatment)
        expected = weight_relevance(ours, x, target, batch_norm=treatment)
        for name, value in zip(_weights(ours), _weights(theirs), strict=True):
            assert torch.allclose(found[value], expected[name], rtol=1e-6), (treatment, name)
    for name in ("lrp_epsilon_plus_flat", "rap", "excitation_backprop", "grad_cam"):
        explain = EXPLAINERS[name].fn
        assert torch.allclose(explain(theirs, x, target), explain(ours, x, target)), name
    after = theirs.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())


def _weights(model):
    """Names of the convolutional and linear weights, in the order of registration."""
    return [
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
    ]


def test_a_network_whose_parts_are_replaced_is_traced_again():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    assert dataflow(model).layers == ("0", "1", "2")
    model.append(nn.LayerNorm(4))
    assert len(dataflow(model).operations) == 1
    model[3] = nn.GroupNorm(2, 4)
    with pytest.raises(ValueError, match=r"no LRP rule for: 3 \(GroupNorm\)"):
        check_rules(model)


def test_of_many_that_have_no_rule_some_are_named():
    model = nn.Sequential(*(nn.GroupNorm(2, 4) for _ in range(5)))
    listed = ", ".join(f"{i} (GroupNorm)" for i in range(3))
    with pytest.raises(ValueError) as caught:
        check_rules(model)
    assert str(caught.value) == f"no LRP rule for: {listed} and 2 more"


def test_a_network_is_not_kept_alive():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    dataflow(model)
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None
