"""Methods say that they do not apply to a network before anything is trained."""

from pathlib import Path

import pytest
import torch

from ecqx.compression.loading import load_method
from ecqx.compression.run import compress_point

BASELINES = Path(__file__).parents[4] / "baselines"
METHODS = {path.stem: load_method(path) for path in BASELINES.glob("*.py")}


class Sine(torch.nn.Module):
    """Computes outside of modules, for which LRP has no rule."""

    def forward(self, x):
        return x.sin()


@pytest.fixture
def no_rules(small_cnn):
    small_cnn[4] = Sine()
    return small_cnn


@pytest.fixture
def no_maps():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))


@pytest.mark.parametrize("method", ["ecqx", "ecqx_wcam"])
@pytest.mark.parametrize("relevance", ["lrp", "shuffled"])
def test_relevance_by_lrp_needs_rules(method, relevance, no_rules, small_task):
    outcome = compress_point(METHODS[method], {"relevance": relevance}, no_rules, small_task, ())
    assert outcome.status == "skipped"
    assert "no LRP rule for: 4 (Sine)" in outcome.reason
    assert "relevance: gradient" in outcome.reason
    assert "\n" not in outcome.reason


@pytest.mark.parametrize("relevance", ["gradient", "magnitude", "fisher", "constant"])
def test_the_controls_need_none(relevance, no_rules, small_task):
    assert METHODS["ecqx"](relevance=relevance).skip(no_rules, small_task) is None
    outcome = compress_point(
        METHODS["ecqx"], {"relevance": relevance}, no_rules, small_task, ("a",)
    )
    assert outcome.status == "ok"


@pytest.mark.parametrize("method", ["wcam", "ecq_wcam", "ecqx_wcam"])
@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({}, "the model has no feature map"),
        ({"layers": "0, 7"}, "layers: '7' is unknown"),
        ({"layers": "0", "matching": "sswa", "dropped": 1.0}, "dropped: 1.0 of the 64 channels"),
    ],
)
def test_matching_needs_maps(method, params, reason, no_maps, small_task):
    assert reason in METHODS[method](**params).skip(no_maps, small_task)
    assert METHODS[method](**params, gamma=0.0).skip(no_maps, small_task) is None


def test_matching_says_first_what_the_other_method_says(no_rules, small_task):
    method = METHODS["ecqx_wcam"]
    assert "no LRP rule" in method(layers="none").skip(no_rules, small_task)
    controlled = method(layers="none", relevance="gradient")
    assert "layers: 'none' is unknown" in controlled.skip(no_rules, small_task)
