import dataclasses
import math
import sys

import pytest
import torch

from ecqx.compression.artefact import bitstream
from ecqx.compression.assignment.assigners import Nearest
from ecqx.compression.contract import Compressed, Diverged, quantizable
from ecqx.compression.run import compress_point
from ecqx.compression.training import quantize_once, train_quantized

PARTS = ("compress", "bars", "cnn", "method", "bits~4", 0)


@dataclasses.dataclass(frozen=True)
class Trained:
    bits: int = 4

    def compress(self, model, task, rng):
        return train_quantized(model, task, Nearest(quantizable(model), self.bits), rng)


def test_outcome_of_a_good_point(small_cnn, small_task):
    before = {k: v.clone() for k, v in small_cnn.state_dict().items()}
    outcome = compress_point(Trained, {"bits": 3}, small_cnn, small_task, PARTS)
    assert (outcome.status, outcome.reason) == ("ok", "")
    assert outcome.params == {"bits": 3}
    assert outcome.train_s > 0
    if sys.platform.startswith("linux"):
        assert outcome.peak_memory_bytes > 2**26
    assert 1 <= outcome.epoch <= 3 == len(outcome.history)
    assert set(bitstream.decode(outcome.artefact)) == set(before)
    assert all(torch.equal(before[k], v) for k, v in small_cnn.state_dict().items())


def test_a_point_does_not_depend_on_what_ran_before(small_cnn, small_task):
    first = compress_point(Trained, {}, small_cnn, small_task, PARTS)
    compress_point(Trained, {"bits": 2}, small_cnn, small_task, PARTS)
    torch.rand(7)
    again = compress_point(Trained, {}, small_cnn, small_task, PARTS)
    assert first.artefact == again.artefact
    other = compress_point(Trained, {}, small_cnn, small_task, (*PARTS[:-1], 1))
    assert first.artefact != other.artefact


@dataclasses.dataclass(frozen=True)
class Exploding:
    def compress(self, model, task, rng):
        raise Diverged("loss became inf")


@dataclasses.dataclass(frozen=True)
class Poisoned:
    def compress(self, model, task, rng):
        result = quantize_once(model, Nearest(quantizable(model), 4))
        result.tensors["7.bias"][0] = math.nan
        return result


@dataclasses.dataclass(frozen=True)
class Picky:
    def skip(self, model, task):
        return "needs video"

    def compress(self, model, task, rng):
        raise AssertionError("never called")


@pytest.mark.parametrize(
    ("method", "status", "reason"),
    [
        (Exploding, "diverged", "loss became inf"),
        (Poisoned, "diverged", "7.bias is not finite"),
        (Picky, "skipped", "needs video"),
    ],
)
def test_points_without_an_artefact(method, status, reason, small_cnn, small_task):
    outcome = compress_point(method, {}, small_cnn, small_task, PARTS)
    assert (outcome.status, outcome.reason, outcome.artefact) == (status, reason, b"")


@dataclasses.dataclass(frozen=True)
class Incomplete:
    def compress(self, model, task, rng):
        return Compressed({"0.weight": model.state_dict()["0.weight"]})


def test_incomplete_results_are_refused(small_cnn, small_task):
    with pytest.raises(TypeError, match=r"differ in: 1.bias"):
        compress_point(Incomplete, {}, small_cnn, small_task, PARTS)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"bit": 4}, "bit: no such hyper-parameter, expected one of: bits"),
        ({"bits": "4"}, "bits: '4' is str, expected an integer"),
        ({"bits": 4.0}, "bits: 4.0 is float, expected an integer"),
        ({"bits": True}, "bits: True is bool, expected an integer"),
    ],
)
def test_wrong_hyper_parameters(params, message, small_cnn, small_task):
    with pytest.raises(ValueError, match=message):
        compress_point(Trained, params, small_cnn, small_task, PARTS)
