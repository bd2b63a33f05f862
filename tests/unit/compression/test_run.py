import builtins
import copy
import dataclasses
import math
import pickle
import sys

import pytest
import torch

from ecqx.compression import methods
from ecqx.compression.artefact import bitstream
from ecqx.compression.artefact.folding import folded
from ecqx.compression.assignment.assigners import Nearest
from ecqx.compression.contract import CodecQuantized, Compressed, Diverged, quantizable
from ecqx.compression.methods.uniform_ptq import UniformPTQ
from ecqx.compression.run import attempt_point, compress_point, lost_point
from ecqx.compression.training import quantize_once, train_quantized
from ecqx.tasks.plain import plain
from ecqx.tasks.task import predict

PARTS = ("compress", "bars", "cnn", "method", "bits~4", 0)


@dataclasses.dataclass(frozen=True)
class Trained:
    bits: int = 4

    def compress(self, model, task, rng):
        return train_quantized(model, task, Nearest(quantizable(model), levels=2**self.bits))


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


def test_training_follows_the_order_of_the_task_not_the_seed_of_the_method(small_cnn, small_task):
    """All methods, each with a seed of its own, train on the same minibatches."""
    first = compress_point(Trained, {}, small_cnn, small_task, PARTS)
    same = compress_point(Trained, {}, small_cnn, small_task, (*PARTS[:-1], 1))
    assert first.artefact == same.artefact
    reordered = dataclasses.replace(small_task, order_seed=1)
    other = compress_point(Trained, {}, small_cnn, reordered, PARTS)
    assert first.artefact != other.artefact


@dataclasses.dataclass(frozen=True)
class Exploding:
    def compress(self, model, task, rng):
        raise Diverged("loss became inf")


@dataclasses.dataclass(frozen=True)
class Poisoned:
    def compress(self, model, task, rng):
        result = quantize_once(model, Nearest(quantizable(model), levels=16))
        result.tensors["7.bias"][0] = math.nan
        return result


@dataclasses.dataclass(frozen=True)
class Picky:
    def skip(self, model, task):
        with torch.no_grad():
            model[0].weight.zero_()
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
    before = copy.deepcopy(small_cnn.state_dict())
    outcome = compress_point(method, {}, small_cnn, small_task, PARTS)
    assert (outcome.status, outcome.reason, outcome.artefact) == (status, reason, b"")
    assert all(torch.equal(before[k], v) for k, v in small_cnn.state_dict().items())


@dataclasses.dataclass(frozen=True)
class Incomplete:
    def compress(self, model, task, rng):
        return Compressed({"0.weight": model.state_dict()["0.weight"]})


def altered(**changes):
    """A method without training whose quantized first layer is altered, and its history kept."""

    @dataclasses.dataclass(frozen=True)
    class Altered:
        def compress(self, model, task, rng):
            result = quantize_once(model, Nearest(quantizable(model), levels=16))
            entry = dataclasses.replace(result.tensors["0.weight"], **changes)
            return Compressed({**result.tensors, "0.weight": entry}, [{"epoch": 1}], 1)

    return Altered


@dataclasses.dataclass(frozen=True)
class CodecValueNotANumber:
    def compress(self, model, task, rng):
        tensors = {
            name: CodecQuantized(torch.full_like(tensor, math.nan), -20, 1.0)
            if name in quantizable(model)
            else tensor.clone()
            for name, tensor in model.state_dict().items()
        }
        return Compressed(tensors, [{"epoch": 1}], 1)


SHAPE = (6, 1, 3, 3)  # of 0.weight
CODES = torch.ones(SHAPE, dtype=torch.int32)


@pytest.mark.parametrize("run", [compress_point, attempt_point])
@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (altered(step=math.inf), "the step of 0.weight is inf"),
        (altered(step=math.nan), "the step of 0.weight is nan"),
        (altered(codes=torch.full(SHAPE, math.inf)), "0.weight is not finite"),
        (
            altered(codes=CODES, step=1e39),
            "0.weight leaves the range of float32, its step is 1e+39",
        ),
        (altered(codes=1000 * CODES, step=1e36), "0.weight leaves the range of float32"),
        (CodecValueNotANumber, "0.weight is not finite"),
    ],
)
def test_numbers_that_are_not_finite_are_divergence(run, method, reason, small_cnn, small_task):
    outcome = run(method, {}, small_cnn, small_task, PARTS)
    assert (outcome.status, outcome.artefact, outcome.epoch) == ("diverged", b"", None)
    assert outcome.reason.startswith(reason)
    assert outcome.history == [{"epoch": 1}]


def test_the_history_before_divergence_is_kept(small_cnn, small_task):
    batches = small_task.steps_per_epoch
    calls = iter(range(10**6))

    def loss(logits, y):
        value = torch.nn.functional.cross_entropy(logits, y)
        # each epoch ends with one more call, on validation
        return value * math.nan if next(calls) > batches + 1 else value

    task = dataclasses.replace(small_task, loss=loss)
    outcome = compress_point(Trained, {}, small_cnn, task, PARTS)
    assert (outcome.status, [row["epoch"] for row in outcome.history]) == ("diverged", [1])
    assert "in epoch 2" in outcome.reason


def test_divergence_keeps_its_history_between_processes():
    error = pickle.loads(pickle.dumps(Diverged("the loss became nan", [{"epoch": 1}])))
    assert (str(error), error.history) == ("the loss became nan", [{"epoch": 1}])


def returning(result):
    @dataclasses.dataclass(frozen=True)
    class Returning:
        bits: int = 4

        def compress(self, model, task, rng):
            return result

    return Returning


def skipping(reason):
    return dataclasses.make_dataclass(
        "Skipping", [("bits", int, 4)], frozen=True, namespace={"skip": lambda *_: reason}
    )


def raising(error, where="compress"):
    def fail(self, *_):
        raise error

    return dataclasses.make_dataclass(
        "Raising", [("bits", int, 4)], frozen=True, namespace={"compress": fail, where: fail}
    )


@pytest.mark.parametrize(
    ("method", "reason", "history"),
    [
        (raising(TypeError("one\ntwo")), "TypeError: one two", []),
        (raising(MemoryError()), "MemoryError", []),
        (skipping(""), "TypeError: skip returned '', expected None or the reason as text", []),
        (skipping(True), "TypeError: skip returned True, expected None or the reason as text", []),
        (raising(KeyError("x"), "skip"), "KeyError: 'x'", []),
        (returning(None), "TypeError: compress returned NoneType, expected Compressed", []),
        (returning(Compressed({}, [{"epoch": 1}], 1)), "TypeError: Compressed.tensors", [1]),
        (
            returning(Compressed({}, [{"epoch": "first"}], 1)),
            "TypeError: history: epoch is str",
            [],
        ),
        (returning(Compressed({}, [{"a": 1}, {"b": 1}], 1)), "TypeError: the rows of history", []),
        (returning(Compressed({}, None)), "TypeError: history is not a list of dicts", []),
        (altered(codes=CODES[:3]), "TypeError: Compressed.tensors['0.weight'] has shape (3,", [1]),
        (altered(codes=None), "TypeError: Compressed.tensors['0.weight'] holds NoneType", [1]),
        (altered(codes=CODES * 0.5), "ValueError: 0.weight: codes are torch.float32", [1]),
        (altered(codes=CODES.long() << 40), "ValueError: 0.weight: integers beyond 32 bits", [1]),
        (altered(step="0.1"), "TypeError: Compressed.tensors['0.weight'] has a step that is", [1]),
        (altered(step=-0.5), "ValueError: 0.weight: the step is -0.5", [1]),
    ],
)
def test_a_failure_is_an_outcome(method, reason, history, small_cnn, small_task, capsys):
    params = dataclasses.asdict(method())
    outcome = attempt_point(method, {}, small_cnn, small_task, PARTS)
    assert (outcome.status, outcome.artefact, outcome.epoch) == ("failed", b"", None)
    assert outcome.reason.startswith(reason)
    assert "\n" not in outcome.reason
    assert outcome.params == params
    assert [row["epoch"] for row in outcome.history] == history
    assert "Traceback" in capsys.readouterr().err
    with pytest.raises(getattr(builtins, reason.partition(":")[0])):
        compress_point(method, {}, small_cnn, small_task, PARTS)


def test_a_refused_hyper_parameter_fails_with_what_was_given(small_cnn, small_task):
    outcome = attempt_point(Trained, {"bit": 3}, small_cnn, small_task, PARTS)
    assert (outcome.status, outcome.params) == ("failed", {"bit": 3})
    assert outcome.reason == "ValueError: bit: no such hyper-parameter, expected one of: bits"
    assert math.isnan(outcome.train_s)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_passes_through(error, small_cnn, small_task):
    with pytest.raises(error):
        attempt_point(raising(error()), {}, small_cnn, small_task, PARTS)


def test_a_good_point_is_the_same_when_attempted(small_cnn, small_task):
    expected = compress_point(Trained, {}, small_cnn, small_task, PARTS)
    found = attempt_point(Trained, {}, small_cnn, small_task, PARTS)
    assert (found.status, found.artefact) == ("ok", expected.artefact)
    assert (found.history, found.epoch) == (expected.history, expected.epoch)


@pytest.mark.parametrize(
    ("given", "params"), [({}, {"bits": 4}), ({"bits": 3}, {"bits": 3}), ({"bit": 3}, {"bit": 3})]
)
def test_a_lost_point(given, params):
    outcome = lost_point(Trained, given, "killed by signal 9")
    assert (outcome.status, outcome.reason) == ("failed", "killed by signal 9")
    assert (outcome.params, outcome.artefact, outcome.history) == (params, b"", [])
    assert outcome.epoch is None and outcome.peak_memory_bytes is None
    assert math.isnan(outcome.train_s)


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


def of_bars(*layers):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), *layers)


def odd_networks():
    """Networks whose state or whose weights are not as usual."""
    nn = torch.nn
    bias_free = of_bars(nn.Linear(64, 16, bias=False), nn.ReLU(), nn.Linear(16, 3, bias=False))
    named = nn.Sequential()
    for name, layer in (("flat", nn.Flatten()), ("conv_Gate", nn.Linear(64, 8)),
                        ("a_G", nn.ReLU()), ("attn_Head", nn.Linear(8, 8)), ("b_H", nn.ReLU()),
                        ("steps", nn.Linear(8, 3)), ("é", nn.Identity())):  # fmt: skip
        named.add_module(name, layer)
    large = of_bars(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 3))
    large[1].bias.data.fill_(6000.0)
    thin = of_bars(nn.Linear(64, 16, bias=False), nn.BatchNorm1d(16, eps=1e-10), nn.ReLU(),
                   nn.Linear(16, 3))  # fmt: skip
    thin[1].weight.data.mul_(1e-6)
    thin[2].running_var.fill_(1e-10)
    return {"bias_free": bias_free, "named": named, "large": large, "thin": thin}


@pytest.mark.parametrize("name", odd_networks())
@pytest.mark.parametrize("method", ["uniform_ptq", "ecqx"])
def test_odd_networks_are_compressed_like_any_other(name, method, small_task):
    model = odd_networks()[name]
    outcome = compress_point(methods.get(method), {"levels": 15}, model, small_task, PARTS)
    decoded = bitstream.load(plain(model), bitstream.decode(outcome.artefact))
    logits = predict(decoded, small_task.validation.x)
    if outcome.history:
        said = outcome.history[outcome.epoch - 1]["validation_score"]
        assert small_task.score(logits, small_task.validation.y) == pytest.approx(said, abs=0.04)


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize(
    "wrap",
    [
        torch.nn.utils.weight_norm,
        torch.nn.utils.spectral_norm,
        torch.nn.utils.parametrizations.weight_norm,
        torch.nn.utils.parametrizations.spectral_norm,
        lambda layer: torch.nn.utils.prune.l1_unstructured(layer, "weight", 0.6),
    ],
)
def test_the_weights_that_act_are_what_is_compressed(wrap, small_task):
    layers = [torch.nn.Linear(64, 16), torch.nn.Linear(16, 3)]
    model = of_bars(wrap(layers[0]), torch.nn.ReLU(), wrap(layers[1])).eval()
    model(small_task.validation.x)  # the old kinds make the weight as they run
    acting = model[1].weight.detach().clone()
    outcome = compress_point(UniformPTQ, {"levels": 255}, model, small_task, PARTS)
    state = bitstream.decode(outcome.artefact)
    assert set(state) == {"1.weight", "1.bias", "3.weight", "3.bias"}
    assert torch.allclose(state["1.weight"], acting, atol=0.01 * float(acting.abs().max()))
    assert not state["1.weight"][acting == 0].any()
    # relevance speaks of them too
    points = [
        compress_point(methods.get(name), {"levels": 15, "lam": 0.3}, model, small_task, PARTS)
        for name in ("ecq", "ecqx")
    ]
    assert points[0].artefact != points[1].artefact


def test_a_bitstream_of_another_network_is_no_result(monkeypatch, small_cnn, small_task):
    def shifted(state, model):
        return folded(state, model) | {"7.bias": torch.tensor([9.0, 0.0, -9.0])}

    monkeypatch.setattr(bitstream, "folded", shifted)
    outcome = attempt_point(UniformPTQ, {}, small_cnn, small_task, PARTS)
    assert outcome.status == "failed" and outcome.artefact == b""
    assert "decodes to another network than was compressed" in outcome.reason
    assert "the score is" in outcome.reason
