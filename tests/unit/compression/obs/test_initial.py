"""Training that starts from other codes than the nearest."""

import pytest
import torch

from ecqx.compression import methods
from ecqx.compression.artefact import bitstream
from ecqx.compression.contract import quantizable
from ecqx.compression.methods.obs import CERWU
from ecqx.compression.methods.uniform import Uniform
from ecqx.compression.run import compress_point

PARTS = ("compress", "test", 0)
TRAINED = ("uniform", "ecq", "ecqx", "lsq", "lsq_rate", "wcam")


@pytest.mark.parametrize(("initial", "lam"), [("optq", 0.0), ("cerwu", 0.1)])
def test_without_any_learning_the_codes_are_those_it_starts_from(
    initial, lam, small_cnn, small_task
):
    params = {"levels": 7, "initial": initial, "learning_rate": 1e-12}
    started = compress_point(Uniform, params, small_cnn, small_task, PARTS)
    rounded = {"levels": 7, "lam": lam, "step_rule": "percentile"}
    expected = compress_point(CERWU, rounded, small_cnn, small_task, PARTS)
    nearest = compress_point(Uniform, {"levels": 7, "learning_rate": 1e-12}, small_cnn,
                             small_task, PARTS)  # fmt: skip
    found, own, other = (bitstream.decode(o.artefact) for o in (started, expected, nearest))
    assert all(torch.equal(found[name], own[name]) for name in quantizable(small_cnn))
    assert not all(torch.equal(found[name], other[name]) for name in quantizable(small_cnn))


@pytest.mark.parametrize("name", TRAINED)
def test_every_method_that_keeps_its_grid_can_start_so(name, small_cnn, small_task):
    method = methods.get(name)
    made = {
        initial: compress_point(
            method, {"levels": 5, "initial": initial}, small_cnn, small_task, PARTS
        ).artefact
        for initial in ("nearest", "optq", "cerwu")
    }
    plain = compress_point(method, {"levels": 5}, small_cnn, small_task, PARTS).artefact
    assert made["nearest"] == plain and len(set(made.values())) == 3
