"""Scales, shifts and biases are trained, codes stay, and no byte is added."""

import dataclasses

import pytest
import torch
from torch import nn

from ecqx.checks import example
from ecqx.compression.artefact import bitstream
from ecqx.compression.contract import Compressed, Diverged, Quantized
from ecqx.compression.methods.nncodec import NNCodec
from ecqx.compression.methods.uniform import Uniform
from ecqx.compression.methods.uniform_ptq import UniformPTQ
from ecqx.compression.refinement import refine_scales
from ecqx.compression.run import attempt_point, compress_point
from ecqx.seeding import generator

SEED = ("compress", "test", 0)


@pytest.fixture(scope="module")
def trained():
    """A trained network, and its task with a budget of four epochs."""
    model, task = example()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for epoch in range(1, 6):
        for x, y in task.batches(epoch):
            optimizer.zero_grad()
            task.loss(model.train()(x), y).backward()
            optimizer.step()
    budget = dataclasses.replace(task.budget, epochs=4)
    return model.eval(), dataclasses.replace(task, budget=budget)


@pytest.mark.parametrize(
    ("method", "params"),
    [(UniformPTQ, {"levels": 3}), (NNCodec, {"qp": -10}), (Uniform, {"levels": 3})],
)
def test_the_weights_stay_and_validation_is_no_worse(trained, method, params):
    model, task = trained
    budget = dataclasses.replace(task.budget, epochs=3)
    before = compress_point(method, params, model, dataclasses.replace(task, budget=budget), SEED)
    after = compress_point(method, params | {"refine": "scales"}, model, task, SEED)
    assert after.status == "ok" and after.params["refine"] == "scales"
    old, new = (bitstream.decode(outcome.artefact) for outcome in (before, after))
    moved = {name for name in old if not torch.equal(old[name], new[name])}
    assert moved and not any(name.endswith("weight") and old[name].ndim > 1 for name in moved)
    assert abs(len(after.artefact) / len(before.artefact) - 1) < 0.02
    # three epochs of the method, if it has any, and one that is the refinement's
    assert [row["epoch"] for row in after.history] == [row["epoch"] for row in before.history] + [4]
    losses = []
    for state in (old, new):
        network = bitstream.load(example()[0], state).eval()
        with torch.no_grad():
            losses.append(float(task.loss(network(task.validation.x), task.validation.y)))
    assert losses[1] < losses[0]


def test_it_is_kept_as_it_was_where_nothing_gets_better(trained):
    model, task = trained
    compressed = Uniform(levels=15).compress(example()[0], task, generator("x"))
    hopeless = dataclasses.replace(task, loss=lambda z, y: -nn.functional.cross_entropy(z, y))
    worst = dataclasses.replace(hopeless, score=lambda z, y: 1.0 if torch.equal(z, first) else 0.0)
    network = example()[0].eval()
    state = {
        n: e.dequantize() if isinstance(e, Quantized) else e for n, e in compressed.tensors.items()
    }
    network.load_state_dict(state)
    with torch.no_grad():
        first = network(task.validation.x)
    refined = refine_scales(compressed, model, worst, 5)
    assert refined.epoch == compressed.epoch
    assert len(refined.history) == len(compressed.history) + 4
    assert all(refined.tensors[name] is compressed.tensors[name] for name in compressed.tensors)


def test_a_shared_bias_is_refined_under_both_names(trained):
    _, task = trained
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.ReLU(), nn.Linear(3, 3)).eval()
    model[3].bias = model[1].bias
    params = {"levels": 5, "refine": "scales", "epochs_factor": 16}
    outcome = compress_point(UniformPTQ, params, model, task, SEED)
    state = bitstream.decode(outcome.artefact)
    assert state["1.bias"] is state["3.bias"]
    assert not torch.allclose(state["1.bias"], model[1].bias, atol=2e-3)


def test_without_anything_to_refine_the_point_fails(trained):
    _, task = trained
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3, bias=False))
    outcome = attempt_point(UniformPTQ, {"refine": "scales"}, model, task, SEED)
    assert outcome.status == "failed"
    assert "the network has neither batch norms nor biases" in outcome.reason


def test_divergence_keeps_the_history(trained):
    model, task = trained
    compressed = Compressed(dict(model.state_dict()))
    broken = dataclasses.replace(task, loss=lambda z, y: z.sum() * float("nan"))
    with pytest.raises(Diverged, match="the training loss became nan in epoch 2"):
        refine_scales(compressed, model, broken, 2)
