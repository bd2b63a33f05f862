"""A network's state, through its bitstream and back."""

import contextlib
import copy
import io
import random
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nncodec import nnc
from torch import nn

from ecqx.compression.artefact import bitstream, codec
from ecqx.compression.artefact.bitstream import decode, encode, load, parts
from ecqx.compression.contract import CodecQuantized, Quantized, quantizable

VECTOR_STEP = 5 * 2.0**-11


def network():
    """Layers with batch norm, with and without bias, a depthwise and a one-dimensional one."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(2),
        nn.Conv1d(6, 8, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.1, 2.0)
            module.num_batches_tracked.fill_(7)
    return model.eval()


def quantized(model, levels=3, step=None):
    """The state of a network, each weight rounded to a few levels."""
    own = {id(weight) for weight in quantizable(model).values()}
    high = levels // 2

    def codes(weight):
        step_of_weight = step or codec.step_of(codec.nearest_qp(float(weight.abs().max()) / high))
        return Quantized((weight / step_of_weight).round().to(torch.int32), step_of_weight)

    return {
        name: codes(tensor.detach()) if id(tensor) in own else tensor.detach()
        for name, tensor in model.state_dict(keep_vars=True).items()
    }


def returned(model, tensors):
    """The network that a method returned, before its bitstream."""
    model = copy.deepcopy(model)
    model.load_state_dict(
        {n: e.dequantize() if isinstance(e, Quantized) else e for n, e in tensors.items()}
    )
    return model


@torch.no_grad()
def test_the_decoded_network_computes_what_was_compressed():
    model = network()
    tensors = quantized(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = decode(encode(tensors, model))
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
    assert list(state) == list(before)
    for name, entry in tensors.items():
        if isinstance(entry, Quantized):
            assert torch.equal(state[name], entry.dequantize())
    x = torch.randn(20, 1, 8, 8)
    expected, found = returned(model, tensors)(x), load(copy.deepcopy(model), state).eval()(x)
    assert 0 < float((found - expected).abs().max()) < 0.02 * float(expected.std())
    finer = decode(encode(tensors, model, vector_qp=codec.qp_of_density_2(-75)))
    found = load(copy.deepcopy(model), finer)(x)
    assert float((found - expected).abs().max()) < 1e-4 * float(expected.std())


def test_batch_norms_come_back_as_scale_and_shift():
    model = network()
    state = decode(encode(quantized(model), model))
    norm = model[4]
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    shift = norm.bias + (model[3].bias - norm.running_mean) * scale
    assert torch.allclose(state["4.weight"], scale * (1 + norm.eps) ** 0.5, atol=VECTOR_STEP / 2)
    assert torch.allclose(state["4.bias"], shift, atol=VECTOR_STEP / 2)
    assert torch.equal(state["4.running_mean"], torch.zeros(6))
    assert torch.equal(state["4.running_var"], torch.ones(6))
    assert torch.equal(state["4.num_batches_tracked"], torch.tensor(0))
    assert torch.equal(state["3.bias"], torch.zeros(6)), "it is part of the shift"
    assert not torch.equal(state["7.bias"], torch.zeros(8)), "no batch norm takes its output"


def test_any_decoder_of_the_standard_finds_the_weights():
    model = network()
    tensors = quantized(model) | {"7.weight": CodecQuantized(model[7].weight.detach(), -12, 1.0)}
    made = encode(tensors, model)
    with contextlib.redirect_stdout(io.StringIO()):
        stock = nnc.decompress(bytearray(made))
    state = decode(made)
    for number, name in enumerate(quantizable(model)):
        assert stock[chr(ord("A") + number)].tobytes() == state[name].numpy().tobytes()


@st.composite
def values(draw):
    """Scales, shifts and biases of all sizes."""
    size = draw(st.sampled_from([0.0, 1e-10, 1e-3, 0.3, 10.0, 6000.0, 1e9]))
    return size * torch.randn(8, generator=torch.Generator().manual_seed(draw(st.integers(0, 99))))


@settings(deadline=None, max_examples=40)
@given(values(), st.sampled_from([1.0, 1e-12]))
def test_vectors_of_any_size_keep_a_relative_precision(bias, scale):
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.LayerNorm(8))
    state = quantized(model) | {"0.bias": bias, "2.weight": scale * torch.ones(8)}
    decoded = decode(encode(state, model))
    for name in ("0.bias", "2.weight"):
        size = float(state[name].square().mean().sqrt())
        error = float((decoded[name] - state[name]).abs().max())
        # the last term is float32's own rounding
        assert error <= min(VECTOR_STEP / 2, 0.005 * size) + 2e-7 * size


@torch.no_grad()
def test_a_batch_norm_of_hardly_any_variance():
    model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8, eps=1e-10))
    model[1].running_var.fill_(1e-10)
    model.eval()
    tensors = quantized(model)
    state = decode(encode(tensors, model))
    x = 1e-5 * torch.randn(9, 4)
    expected, found = returned(model, tensors)(x), load(copy.deepcopy(model), state)(x)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-3)


class Odd(nn.Module):
    """State of all kinds."""

    def __init__(self):
        super().__init__()
        self.first_Gate, self.out_H = nn.Linear(6, 6), nn.Linear(6, 6)
        self.register_module('é "quoted"\n', nn.Linear(6, 3, bias=False))
        self.twice = self.first_Gate
        self.out_H.weight = self.first_Gate.weight
        self.temperature = nn.Parameter(torch.tensor(1.5))
        self.nothing = nn.Parameter(torch.zeros(0, 3))
        self.register_buffer("flag", torch.tensor(True))
        self.register_buffer("flags", torch.tensor([[True, False], [False, True]]))
        self.register_buffer("large", torch.tensor(2**40))
        self.register_buffer("some_bytes", torch.arange(5, dtype=torch.uint8))
        self.register_buffer("halves", torch.randn(3).half())
        self.register_buffer("doubles", torch.randn(2, 2, dtype=torch.float64) * 1e-30)
        self.register_buffer("phase", torch.polar(torch.ones(4), torch.linspace(0, 6.0, 4)))
        self.norm = nn.BatchNorm1d(6, affine=False)
        self.norm.running_var.fill_(1e-10)


def test_state_of_all_kinds_comes_back_as_it_was():
    torch.manual_seed(0)
    model = Odd()
    tensors = quantized(model)
    state = decode(encode(tensors, model))
    assert list(state) == list(tensors)
    for name, tensor in model.named_buffers():
        assert state[name].dtype == tensor.dtype and torch.equal(state[name], tensor), name
        assert state[name].shape == tensor.shape
    assert abs(state["temperature"] - 1.5) <= VECTOR_STEP / 2
    assert state["temperature"].shape == ()
    assert state["nothing"].shape == (0, 3)
    assert state["twice.weight"] is state["first_Gate.weight"] is state["out_H.weight"]
    load(Odd(), state)


def test_a_shared_weight_is_sent_once():
    torch.manual_seed(0)
    layers = [nn.Linear(64, 64, bias=False) for _ in range(3)]
    apart = nn.Sequential(*layers)
    apart_bytes = len(encode(quantized(apart), apart))
    layers[1].weight = layers[2].weight = layers[0].weight
    shared = nn.Sequential(*layers)
    assert len(encode(quantized(shared), shared)) < 0.4 * apart_bytes


def test_a_channel_of_zeros_costs_next_to_nothing():
    """All but one of 64 channels gone: what is left of them is a shift."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(64, 64, 3, bias=False), nn.BatchNorm2d(64)).eval()
    nn.init.uniform_(model[1].weight)
    model[1].running_mean.zero_()
    whole = len(encode(quantized(model), model))
    with torch.no_grad():
        model[0].weight[1:] = 0
    made = encode(quantized(model), model)
    assert (len(made) - 50) / whole < 2 / 64
    assert torch.equal(decode(made)["1.weight"][1:], torch.zeros(63))


def test_coarser_is_smaller():
    model = nn.Linear(64, 64, bias=False)
    sizes = [
        len(encode({"weight": CodecQuantized(model.weight.detach(), qp, 1.0)}, model))
        for qp in (-24, -16, -8)
    ]
    assert sizes == sorted(sizes, reverse=True)
    zeros = torch.zeros(64, 64, dtype=torch.int32)
    assert len(encode({"weight": Quantized(zeros, 1.0)}, model)) < 80


def test_weights_that_no_method_quantized_are_rounded_finely():
    model = nn.Linear(8, 8)
    for size in (1e-6, 1.0, 1e3):
        weight = size * torch.randn(8, 8)
        decoded = decode(encode({"weight": weight, "bias": model.bias}, model))["weight"]
        assert float((decoded - weight).abs().max()) < 1e-4 * size


def test_an_architecture_travels_with_it():
    model = network()
    plain_bytes = encode(quantized(model), model)
    assert bitstream.architecture(plain_bytes) == {}
    architecture = {"width": 0.125, "depth": 3, "gated": True, "kind": "ü"}
    made = encode(quantized(model), model, architecture=architecture)
    assert bitstream.architecture(made) == architecture
    assert bitstream.weights(made) == bitstream.weights(plain_bytes)
    assert all(torch.equal(decode(made)[n], t) for n, t in decode(plain_bytes).items())
    assert len(encode(quantized(model), model, architecture={"width": 0.5})) < len(plain_bytes) + 20
    assert sum(parts(made).values()) == len(made)


def test_parts_add_up():
    model = Odd()
    made = encode(quantized(model), model)
    found = parts(made)
    assert list(found) == ["weights", "vectors", "exact", "names", "header"]
    assert sum(found.values()) == len(made) and min(found.values()) > 0
    plain = nn.Linear(3, 3, bias=False)
    found = parts(encode(quantized(plain), plain))
    assert found["vectors"] == found["exact"] == 0


def damages(good, other, rng):
    """Flipped bits, cuts, and pieces of another bitstream put in."""
    for _ in range(2000):
        flipped = bytearray(good)
        flipped[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
        yield bytes(flipped)
    for _ in range(200):
        start, end = sorted(rng.sample(range(len(good) + 1), 2))
        yield good[:start]
        yield good[:start] + good[end:]
        yield good[:start] + other[start:end] + good[end:]
        yield good + good[start:end]
    yield from (b"", b"text", good + b"\0", bytes(len(good)), good[::-1])


def test_damage_of_any_kind_is_noticed():
    model = network()
    good, other = (encode(quantized(model, levels), model) for levels in (3, 5))
    for damaged in damages(good, other, random.Random(0)):
        if damaged == good:
            continue
        with pytest.raises(ValueError, match="checksum"):
            decode(damaged)
    assert decode(good)


def test_bitstreams_of_others_and_of_before_are_told_apart():
    weight = np.zeros((3, 3), np.float32)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = nnc.compress({"w": weight}, bitstream_path=None, return_bitstream=True)
    with pytest.raises(ValueError, match="version 0.1 of this library"):
        decode(bytes(theirs))
    later = bytearray(encode({"weight": torch.zeros(2, 2)}, nn.Linear(2, 2, bias=False)))
    place = codec.units(bytes(later))[-1].payload
    assert later[place] == bitstream.FORMAT
    later[place] += 1
    later[-4:] = zlib.crc32(later[:-4]).to_bytes(4, "little")
    with pytest.raises(ValueError, match="its format is 3, expected 2"):
        decode(bytes(later))


class Stateful(nn.Linear):
    def get_extra_state(self):
        return {"calls": 3}

    def set_extra_state(self, state):
        pass


COMPLEX = nn.Linear(2, 2, dtype=torch.complex64)


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        (nn.Linear(2, 2), {"bias": torch.tensor([1.0, float("nan")])}, "bias: a value is not"),
        (nn.Linear(2, 2), {"weight": Quantized(torch.zeros(2, 2), 1.0)}, "weight: codes are torch"),
        (nn.Linear(2, 2), {"weight": Quantized(torch.zeros(2, 2).int(), 0.0)}, "weight: the step"),
        (nn.Linear(2, 2), {"weight": Quantized(torch.zeros(2, 2).int(), 1e99)}, "weight: step 1e"),
        (
            nn.Linear(2, 2),
            {"weight": Quantized(torch.full((2, 2), 2**40), 1.0)},
            "weight: integers beyond",
        ),
        (COMPLEX, {}, "weight: is torch.complex64"),
        (Stateful(2, 2), {}, "_extra_state: the state of the network holds dict"),
    ],
)
def test_what_cannot_be_coded_is_named(model, changes, message):
    with pytest.raises(ValueError, match=message):
        encode(model.state_dict() | changes, model)


def test_loading_refuses_strangers():
    model = network()
    state = decode(encode(quantized(model), model))
    with pytest.raises(ValueError, match=r"does not fit the model: tensors 7.bias"):
        load(model, {k: v for k, v in state.items() if k != "7.bias"})
    with pytest.raises(ValueError, match=r"11.weight has shape \(16, 3\), the model \(3, 16\)"):
        load(model, state | {"11.weight": state["11.weight"].T})


def test_what_is_deflated_cannot_fill_the_memory():
    packed = bitstream._deflated(bytes(10_000_000))
    assert len(packed) < 20_000
    with pytest.raises(ValueError, match="do not end within 1000 bytes"):
        bitstream._inflated(packed, 1000)
    with pytest.raises(ValueError, match="do not end"):
        bitstream._inflated(packed[:-1], 10_000_000)
    assert bitstream._inflated(packed + b"rest", 10_000_000) == (bytes(10_000_000), b"rest")


def test_arrays_of_absurd_size_are_refused(monkeypatch):
    model = torch.nn.Linear(3, 2)
    artefact = bitstream.encode(model.state_dict(), model)
    monkeypatch.setitem(codec.MOST_VALUES, "array", 5)
    with pytest.raises(ValueError, match=r"array 'A': is of shape \(2, 3\)"):
        bitstream.decode(artefact)
    with pytest.raises(ValueError, match="weight: 6 values, expected at most 5"):
        bitstream.encode(model.state_dict(), model)
    monkeypatch.setitem(codec.MOST_VALUES, "array", 6)
    monkeypatch.setitem(codec.MOST_VALUES, "bitstream", 7)
    with pytest.raises(ValueError, match="more than 7 values"):
        bitstream.decode(artefact)
