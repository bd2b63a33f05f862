"""The sanity check tells explainers of the network from those of the input alone."""

import copy
import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn
from torchvision.models import VisionTransformer

from ecqx.evaluation.consistency import METRICS
from ecqx.evaluation.explainers import EXPLAINERS, explainer
from ecqx.evaluation.randomisation import (
    _initialise,
    randomisable_layers,
    randomisation_rows,
)
from ecqx.tasks.datasets import cluttered_digits
from ecqx.tasks.models import mlp_gsc, residual_cnn, small_vgg

KEYS = ["layers_randomised", "layer", "explainer", "metric", "signed", "mean", "std", "n"]


@pytest.fixture
def edges():
    """An explainer that looks at the input alone: differences between neighbors."""

    def edge_detector(model, x, target):
        gray = x.sum(dim=1)
        return (gray - gray.roll(1, dims=1)).abs() + (gray - gray.roll(1, dims=2)).abs()

    explainer(label="", source="no explanation")(edge_detector)
    yield "edge_detector"
    del EXPLAINERS["edge_detector"]


@pytest.fixture(scope="module")
def trained():
    """A network after two passes over a few cluttered digits, and test samples."""
    data = cluttered_digits.compose(0, n_train=1000, n_validation=10, n_test=40)
    torch.manual_seed(0)
    model = small_vgg.build((1, 32, 32), 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for index in torch.cat([torch.randperm(1000) for _ in range(2)]).split(50):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(data.train.x[index]), data.train.y[index]).backward()
        optimizer.step()
    return model.eval(), data.test.x, data.test.y


def scipy_entropy(values):
    return scipy.stats.entropy(np.histogram(values, bins=100)[0])


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def means(rows, explainer, metric="cosine", signed=True):
    return [
        row["mean"]
        for row in rows
        if (row["explainer"], row["metric"], row["signed"]) == (explainer, metric, signed)
    ]


def test_edges_stay_and_gradients_fall(trained, edges):
    model, x, target = trained
    rows = randomisation_rows(model, x, target, [edges, "gradient_x_input"], ["cosine"], rng())
    for signed in (True, False):
        assert means(rows, edges, signed=signed) == pytest.approx([1.0] * 5)
    fallen = means(rows, "gradient_x_input")
    assert fallen[0] < 0.8  # the output layer alone makes a difference,
    assert max(abs(value) for value in fallen[1:]) < 0.25  # and more leaves nothing in common


def test_rows_cover_every_layer_explainer_metric_and_sign(trained):
    model, x, target = trained
    explainers, metrics = ["lrp_epsilon_plus_flat", "grad_cam"], ["pearson", "ssim"]
    rows = randomisation_rows(model, x[:10], target[:10], explainers, metrics, rng())
    assert all(list(row) == KEYS for row in rows)
    cells = [(name, metric, signed) for name in explainers for signed in (True, False)
             for metric in metrics]  # fmt: skip
    cells += [(name, "entropy_rise", signed) for name in explainers for signed in (True, False)]
    assert [tuple(row[key] for key in KEYS[:5]) for row in rows] == [
        (count, layer, *cell)
        for count, layer in enumerate(["14", "12", "7", "3", "0"], start=1)
        for cell in cells
    ]
    assert all(row["n"] == 10 and row["std"] > 0 for row in rows)


def test_values_are_those_of_a_network_randomised_by_hand():
    """Of the last layer alone; moments over the samples whose trained map says anything."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3)).double()
    x, target = torch.randn(5, 1, 2, 3).double(), torch.tensor([0, 1, 2, 0, 1])
    x[3] = 0  # gradient x input is all zero: degenerate
    rows = randomisation_rows(model, x, target, ["gradient_x_input"], ["cosine"], rng(7))

    seed = int(torch.randint(2**63 - 1, (), generator=rng(7)))
    torch.manual_seed(seed)
    other = nn.Linear(20, 3).double()
    torch.manual_seed(seed)
    other.reset_parameters()
    changed = nn.Sequential(*model[:3], other)
    fn = EXPLAINERS["gradient_x_input"].fn
    values = METRICS["cosine"].fn(fn(changed, x, target), fn(model, x, target))
    values = values[torch.tensor([0, 1, 2, 4])]
    before, after = (
        torch.tensor([scipy_entropy(m.numpy()) for m in fn(network, x, target)])
        for network in (model, changed)
    )
    rises = ((after - before) / before)[torch.tensor([0, 1, 2, 4])]
    rise = next(row for row in rows if row["metric"] == "entropy_rise" and row["signed"])
    assert rise["mean"] == pytest.approx(rises.mean().item())
    assert (rise["n"], rise["layers_randomised"]) == (4, 1)
    assert rows[0]["n"] == 4
    assert rows[0]["mean"] == pytest.approx(values.mean().item())
    assert rows[0]["std"] == pytest.approx(values.std().item())


def test_all_layers_randomised_are_an_untrained_network(trained):
    """Same distribution of weights, and batch-norm statistics of a fresh network."""
    model = trained[0]
    seen = []

    def spy(network, x, target):
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return x.sum(dim=1)

    explainer(label="", source="")(spy)
    try:
        randomisation_rows(model, trained[1][:2], trained[2][:2], ["spy"], ["cosine"], rng())
    finally:
        del EXPLAINERS["spy"]
    before, stages = seen[0], seen[1:]
    fresh = small_vgg.build((1, 32, 32), 10).state_dict()
    for name, value in stages[-1].items():
        assert not torch.equal(value, before[name]), name
        if value.ndim > 1:
            assert value.std() == pytest.approx(fresh[name].std().item(), rel=0.25)
        elif "running" in name or name.split(".")[0] in ("1", "4", "8"):
            assert torch.equal(value, fresh[name]), name
    # cascading: what is randomised stays as it is, what is not yet is the trained network's
    for earlier, later in zip(stages, stages[1:], strict=False):
        changed = {name for name in later if not torch.equal(later[name], earlier[name])}
        assert changed
        assert all(torch.equal(earlier[name], before[name]) for name in changed)


def test_layers_come_from_the_output_with_their_normalisation():
    layers = randomisable_layers(residual_cnn.build((1, 8, 8), 10).eval(), torch.randn(1, 1, 8, 8))
    names = [f"{name} {len(modules)}" for name, modules in layers.items()]
    assert names == ["10 1", "7.branch.3 2", "7.branch.0 2", "4 2", "3.branch.3 2", "3.branch.0 2",
                     "0 2"]  # fmt: skip
    assert [type(module) for module in layers["4"]] == [nn.Conv2d, nn.BatchNorm2d]


def test_order_is_that_of_running_not_of_registration():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(3, 2), nn.Linear(4, 3)

        def forward(self, x):
            return self.last(self.first(x.flatten(1)).relu())

    assert list(randomisable_layers(Backwards(), torch.randn(1, 1, 2, 2))) == ["last", "first"]


def test_model_and_random_state_come_back_and_the_generator_decides():
    torch.manual_seed(0)
    model = mlp_gsc.build((1, 3, 4), 5).train()
    x, target = torch.randn(6, 1, 3, 4), torch.arange(6) % 5
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    arguments = (model, x, target, ["gradient_x_input"], ["cosine"])
    rows = randomisation_rows(*arguments, rng(1))
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    torch.manual_seed(99)
    assert randomisation_rows(*arguments, rng(1)) == rows
    assert randomisation_rows(*arguments, rng(2)) != rows


def test_one_sample_has_no_spread_and_inapplicable_explainers_no_rows():
    model = mlp_gsc.build((1, 3, 4), 5)
    x, target = torch.randn(1, 1, 3, 4), torch.tensor([2])
    names = ["grad_cam", "gradient_x_input"]
    rows = randomisation_rows(model, x, target, names, ["cosine"], rng())
    assert {row["explainer"] for row in rows} == {"gradient_x_input"}
    assert all(row["n"] == 1 and math.isnan(row["std"]) for row in rows)


def test_networks_with_attention_and_parameters_of_their_own():
    torch.manual_seed(0)
    model = VisionTransformer(8, 4, 1, 2, 8, 16, num_classes=3)
    nn.init.normal_(model.heads.head.weight)
    block = "encoder.layers.encoder_layer_0"
    layers = randomisable_layers(model, torch.zeros(1, 3, 8, 8))
    assert list(layers) == [
        "heads.head", "encoder.ln", f"{block}.mlp.3", f"{block}.mlp.0", f"{block}.ln_2",
        f"{block}.self_attention", f"{block}.ln_1", "encoder", "conv_proj", "",
    ]  # fmt: skip
    model.class_token.data.normal_()
    x, target = torch.randn(3, 3, 8, 8), torch.tensor([0, 1, 2])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rows = randomisation_rows(model, x, target, ["gradient_x_input"], ["cosine"], rng())
    assert {row["layer"] for row in rows} == layers.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    again = randomisation_rows(model, x, target, ["gradient_x_input"], ["cosine"], rng())
    assert str(again) == str(rows)
    changed = copy.deepcopy(model)
    for modules in randomisable_layers(changed, x[:1]).values():
        for module in modules:
            _initialise(module, rng())
    weights = {n: p for n, p in changed.named_parameters() if p.ndim > 1}
    assert not any(torch.equal(value, before[name]) for name, value in weights.items())
    token = changed.class_token.flatten()
    assert torch.equal(token.sort().values, before["class_token"].flatten().sort().values)


def test_bad_input_is_named():
    model, x, target = nn.Flatten(), torch.randn(2, 1, 2, 2), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="metrics: unknown cosin; known: pearson, cosine"):
        randomisation_rows(model, x, target, ["gradient_x_input"], ["cosin"], rng())
    with pytest.raises(ValueError, match="the model has no layers with parameters"):
        randomisation_rows(model, x, target, ["gradient_x_input"], ["cosine"], rng())
    with pytest.raises(ValueError, match="unknown: gradients"):
        model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        randomisation_rows(model, x, target, ["gradients"], ["cosine"], rng())
    with pytest.raises(ValueError, match=r"1 \(PReLU\) cannot be initialised anew"):

        class PReLU(nn.Module):
            def __init__(self):
                super().__init__()
                self.slope = nn.Parameter(torch.ones(1))

            def forward(self, x):
                return x * self.slope

        randomisable_layers(nn.Sequential(nn.Flatten(), PReLU(), nn.Linear(4, 2)), x[:1])
