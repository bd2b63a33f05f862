"""Weights that are computed from something else become parameters of their own."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from ecqx.tasks.plain import plain

warnings.filterwarnings("ignore", category=FutureWarning)


def pruned_twice(layer):
    prune.l1_unstructured(layer, "weight", 0.5)
    return prune.random_unstructured(layer, "weight", 0.3)


WRAPPERS = {
    "weight_norm, old": nn.utils.weight_norm,
    "spectral_norm, old": nn.utils.spectral_norm,
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    "pruned twice": pruned_twice,
    "pruned rows": lambda layer: prune.ln_structured(layer, "weight", 0.5, n=2, dim=0),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_the_weight_that_acts_takes_the_place_of_what_it_is_made_of(wrap):
    torch.manual_seed(0)
    model = nn.Sequential(
        wrap(nn.Linear(8, 6)), nn.BatchNorm1d(6), nn.ReLU(), wrap(nn.Linear(6, 3))
    )
    x = torch.randn(20, 8)
    model.train()
    model(x).sum().backward()
    model(x)  # its weights have gradients now
    expected, before = model.eval()(x), {k: v.clone() for k, v in model.state_dict().items()}
    model.train()
    found = plain(model)
    assert torch.equal(found(x), expected) and not found.training and model.training
    names = {"0.weight", "0.bias", "3.weight", "3.bias"}
    assert names < set(found.state_dict()) and not any("_" in n.split(".")[1] for n in names)
    assert {n for n, _ in found.named_parameters()} == names | {"1.weight", "1.bias"}
    found.load_state_dict(found.state_dict())
    # the original goes on as before
    assert set(model.state_dict()) == set(before)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert torch.equal(model.eval()(x), expected)
    model.train()(x).sum().backward()


@pytest.mark.parametrize("run", [nn.DataParallel, lambda m: torch.compile(m, backend="eager")])
@pytest.mark.parametrize("parallel", [False, True])
def test_what_only_runs_a_network_is_left_out(run, parallel):
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    found = plain(run(nn.DataParallel(model) if parallel else model))
    assert type(found) is nn.Sequential and found is not model
    assert list(found.state_dict()) == ["0.weight", "0.bias"]


@pytest.mark.parametrize("part", [False, True])
def test_script_modules_are_refused(part):
    model = torch.jit.script(nn.Linear(3, 3))
    model = nn.Sequential(nn.ReLU(), model) if part else model
    name = "1" if part else "the network"
    with pytest.raises(ValueError, match=f"^{name} is a script module .torch.jit., expected the"):
        plain(model)


def test_a_plain_network_is_copied():
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout())
    found = plain(model)
    found[0].weight.data.zero_()
    assert model[0].weight.any() and model[1].training
