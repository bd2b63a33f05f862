"""Candidates, their bytes in any network, and their errors by the layer's own outputs."""

import copy

import pytest
import torch
from torch import nn

from ecqx.compression.allocation.candidates import (
    LEVELS,
    STEP_RULE,
    make_candidates,
    relative_error,
)
from ecqx.compression.allocation.network import bitstream_size, chosen
from ecqx.compression.artefact import bitstream, codec
from ecqx.compression.assignment.grid import fit_grid
from ecqx.compression.contract import quantizable
from ecqx.compression.obs.hessians import input_moments
from ecqx.compression.obs.network import round_network

LAM = 0.1


@pytest.fixture
def made(small_cnn, small_task):
    moments = input_moments(small_cnn, small_task.train.x)
    return small_cnn, moments, make_candidates(small_cnn, moments, LAM)


def test_each_is_cerwu_at_its_levels(made):
    model, moments, candidates = made
    for place, levels in enumerate(LEVELS):
        grids = {
            name: fit_grid(weight, levels=levels, step_rule=STEP_RULE).coded()
            for name, weight in quantizable(model).items()
        }
        codes = round_network(model, grids, moments, LAM)
        for name, own in codes.items():
            assert candidates.grids[name][place] == grids[name]
            assert torch.equal(candidates.codes[name][place].int(), own)


def test_sizes_are_those_of_the_coder_whatever_the_other_weights_are(made):
    model, _, candidates = made
    rng = torch.Generator().manual_seed(0)
    rows = torch.arange(3)
    for _ in range(3):
        choice = torch.randint(len(LEVELS), (3,), generator=rng).numpy()
        artefact = bitstream.encode(chosen(model, candidates, choice).tensors, model)
        sizes = candidates.sizes[rows, choice]
        assert list(bitstream.weight_bytes(artefact).values()) == sizes.tolist()
        assert bitstream_size(model, candidates, choice) == len(artefact)
        # of one weight in a bitstream of its own
        for name, place, size in zip(candidates.codes, choice, sizes, strict=True):
            qp = codec.nearest_qp(candidates.grids[name][place].step)
            alone = codec.Levels(candidates.codes[name][place].int().numpy(), qp)
            assert len(codec.encode([("A", alone)])) - len(codec.encode([])) == size


def test_errors_are_those_of_the_outputs():
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False)
    x = torch.randn(20, 4, 6, 6)
    moments = input_moments(nn.Sequential(layer), x)["0.weight"]
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.weight += 0.1 * torch.randn_like(other.weight)
        error, whole = (other(x) - layer(x)).square().mean(), layer(x).square().mean()
    found = relative_error(layer.weight, other.weight, moments)
    # a hundredth of damping
    assert found == pytest.approx(float(error / whole), rel=0.02)
    scaled = relative_error(7 * layer.weight, 7 * other.weight, moments)
    assert scaled == pytest.approx(found, rel=1e-5)
    change = (other.weight - layer.weight).square().sum() / layer.weight.square().sum()
    unknown = relative_error(layer.weight, other.weight, None)
    assert unknown == pytest.approx(float(change.detach()), rel=1e-5)
    assert relative_error(torch.zeros(2, 3), torch.zeros(2, 3), None) == 0
