import doctest

import pytest
import torch

import ecqx
from ecqx.compression import api
from ecqx.tasks.task import predict


def test_the_example_in_the_documentation():
    failed, tried = doctest.testmod(api)
    assert (failed, tried > 5) == (0, True)


def test_a_network_of_ones_own(small_cnn, small_task):
    train = (small_task.train.x, small_task.train.y)
    validation = (small_task.validation.x, small_task.validation.y)
    before = {name: value.clone() for name, value in small_cnn.state_dict().items()}
    result = ecqx.compress(
        small_cnn, train, validation, epochs=2, learning_rate=1e-3, bits=3, relevance="magnitude"
    )
    assert all(torch.equal(before[k], v) for k, v in small_cnn.state_dict().items())
    logits = predict(result.model, small_task.validation.x)
    chosen = result.history[result.epoch - 1]["validation_score"]
    # biases and normalisation are coded to 2^-19.75: the decoded network predicts alike
    assert small_task.score(logits, small_task.validation.y) == pytest.approx(chosen, abs=0.05)
    assert 0 < result.sparsity < 1
    again = ecqx.compress(
        small_cnn, train, validation, epochs=2, learning_rate=1e-3, bits=3, relevance="magnitude"
    )
    assert again.artefact == result.artefact


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 9}, "bits: 9 is out of range"),
        ({"lambda_": 0.1}, "lambda_: no such hyper-parameter"),
        ({"epochs": 0}, "epochs is 0"),
    ],
)
def test_wrong_options(options, message, small_cnn, small_task):
    data = (small_task.train.x, small_task.train.y)
    with pytest.raises(ValueError, match=message):
        ecqx.compress(small_cnn, data, data, **options)


def test_a_layer_without_an_lrp_rule_is_named(small_cnn, small_task):
    data = (small_task.train.x, small_task.train.y)
    small_cnn[2] = torch.nn.Softplus()
    small_cnn[4] = torch.nn.MultiheadAttention(8, 2)
    small_cnn[4].forward = lambda x: x
    with pytest.raises(ValueError, match=r"no LRP rule for: 4 \(MultiheadAttention\).*gradient"):
        ecqx.compress(small_cnn, data, data, epochs=1)


def test_divergence_is_an_error(small_cnn, small_task):
    data = (small_task.train.x, small_task.train.y)
    with pytest.raises(RuntimeError, match="compression diverged: the training loss became nan"):
        ecqx.compress(small_cnn, data, data, loss=lambda z, y: z.sum() * float("nan"))


def test_other_names_are_errors():
    with pytest.raises(AttributeError, match="no attribute 'decompress'"):
        ecqx.decompress  # noqa: B018
