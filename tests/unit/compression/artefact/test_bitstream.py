import contextlib
import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecqx.compression.artefact.bitstream import decode, encode, load
from ecqx.compression.contract import CodecQuantized, Quantized

FINE_STEP = 5 * 2.0**-21


@st.composite
def networks(draw):
    """Random state dicts with codes, floats, scalars and counters."""
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    tensors = {}
    for i in range(draw(st.integers(1, 4))):
        shape = draw(st.sampled_from([(3, 4), (1, 1), (8, 2, 3, 3), (5, 1, 1, 1), (2, 3, 4)]))
        high = draw(st.sampled_from([0, 1, 7, 127, 40_000]))
        codes = torch.randint(-high, high + 1, shape, generator=rng, dtype=torch.int32)
        step = draw(st.floats(2**-20, 100, width=32))
        tensors[f"layer{i}.weight"] = Quantized(codes, step)
        scale = draw(st.sampled_from([0.0, 1e-6, 1.0, 1000.0]))
        tensors[f"layer{i}.bias"] = scale * torch.rand(shape[0], generator=rng)
    tensors["count"] = torch.tensor(draw(st.integers(0, 2**31 - 1)))
    tensors["temperature"] = torch.tensor(1.5)
    return tensors


@settings(deadline=None, max_examples=60)
@given(networks())
def test_round_trip(tensors):
    decoded = decode(encode(tensors))
    assert set(decoded) == set(tensors)
    for name, entry in tensors.items():
        if isinstance(entry, Quantized):
            assert torch.equal(decoded[name], entry.dequantize())
            assert decoded[name].dtype == torch.float32
        elif entry.is_floating_point():
            rounding = 1e-6 * float(entry.abs().max())  # of float32 itself
            error = float((decoded[name] - entry.reshape(-1)).abs().max())
            assert error <= FINE_STEP / 2 + rounding
        else:
            assert int(decoded[name]) == int(entry)


def test_same_bytes_as_the_codecs_own_front_end():
    """Outside witness: ``nncodec.nnc.compress`` on the same tensors with the same settings."""
    from nncodec import nnc

    rng = torch.Generator().manual_seed(0)
    codes = torch.randint(-3, 4, (20, 30), generator=rng, dtype=torch.int32)
    bias = torch.randn(20, generator=rng)
    ours = encode({"a.bias": bias, "a.weight": Quantized(codes, 0.25)})
    parameters = {
        "a.bias": bias.numpy(),
        "a.weight": codes.numpy(),
        "steps": np.frombuffer(np.float32(0.25).tobytes(), np.uint8).astype(np.int32),
    }
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = nnc.compress(
            parameters,
            bitstream_path=None,
            return_bitstream=True,
            use_dq=False,
            row_skipping=True,
        )
        decoded = nnc.decompress(bytearray(ours))
    assert ours == bytes(theirs)
    assert np.array_equal(decoded["a.weight"], codes.numpy())


def test_trellis_quantization_as_the_codecs_own_front_end():
    from nncodec import nnc

    weight = torch.randn(40, 50, generator=torch.Generator().manual_seed(0))
    ours = encode({"w": CodecQuantized(weight, -16, 1.0)})
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = nnc.compress(
            {"w": weight.numpy()},
            bitstream_path=None,
            return_bitstream=True,
            qp=-16,
            use_dq=True,
            lambda_scale=1.0,
            row_skipping=True,
        )
    assert ours == bytes(theirs)
    error = (decode(ours)["w"] - weight).abs().max()
    assert 0 < error < 4 * 2 ** (-16 / 4)


def test_coarser_is_smaller():
    weight = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    sizes = [len(encode({"w": CodecQuantized(weight, qp, 1.0)})) for qp in (-24, -16, -8)]
    assert sizes == sorted(sizes, reverse=True)
    zeros = torch.zeros(64, 64, dtype=torch.int32)
    assert len(encode({"w": Quantized(zeros, 1.0)})) < 64


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b"text", lambda b: b[:-7], lambda b: b[:20]]
)
def test_damaged_bitstreams_are_refused(damage):
    codes = torch.randint(-3, 4, (50, 50), generator=torch.Generator().manual_seed(0))
    good = encode({"w": Quantized(codes, 0.5)})
    with pytest.raises(ValueError, match="not a decodable bitstream"):
        decode(damage(good))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"b": torch.tensor([1.0, float("nan")])}, "b: a value is not finite"),
        ({"b": torch.tensor([6000.0])}, "b: magnitude 6000 exceeds 5000"),
        ({"steps": torch.zeros(2)}, "'steps' is reserved"),
        ({"c": torch.zeros(2, 2, dtype=torch.int64)}, "c: integer buffers of two or more"),
        ({"c": torch.tensor(2**40)}, "c: integers beyond 32 bits"),
        ({"w": Quantized(torch.zeros(3, dtype=torch.int32), 1.0)}, "w: quantized weights need two"),
        (
            {
                "v": CodecQuantized(torch.zeros(2, 2), -8, 0.0),
                "w": CodecQuantized(torch.zeros(2, 2), -8, 1.0),
            },
            "one network takes one lambda_scale",
        ),
    ],
)
def test_what_cannot_be_coded_is_named(tensors, message):
    with pytest.raises(ValueError, match=message):
        encode(tensors)


def test_loading_restores_shapes_and_refuses_strangers(small_cnn):
    state = {k: v.reshape(1) if v.ndim == 0 else v + 1 for k, v in small_cnn.state_dict().items()}
    expected = {k: v.clone() for k, v in state.items()}
    load(small_cnn, state)
    for name, value in small_cnn.state_dict().items():
        assert torch.equal(value.reshape(-1), expected[name].reshape(-1))
    with pytest.raises(ValueError, match=r"does not fit the model: tensors 7.bias"):
        load(small_cnn, {k: v for k, v in state.items() if k != "7.bias"})
    with pytest.raises(ValueError, match=r"7.weight has shape \(32, 3\), the model \(3, 32\)"):
        load(small_cnn, state | {"7.weight": state["7.weight"].T})
