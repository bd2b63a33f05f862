"""Arrays in and out of the codec, with its own front end as the witness."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nncodec import nnc

from ecqx.compression.artefact import codec


def of_the_front_end(bitstream):
    with contextlib.redirect_stdout(io.StringIO()):
        return nnc.decompress(bytearray(bitstream))


@st.composite
def arrays(draw):
    """Levels of all kinds, and raw floats at the end."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    found = []
    for name in range(draw(st.integers(0, 4))):
        shape = draw(st.sampled_from([(1,), (7,), (3, 4), (1, 1), (8, 2, 3, 3), (5, 1, 1)]))
        most = draw(st.sampled_from([0, 1, 7, 127, 40_000, 2**30]))
        values = rng.integers(-most, most + 1, shape).astype(np.int32)
        values *= rng.integers(0, 2, (shape[0], *[1] * (len(shape) - 1))).astype(np.int32)
        found.append((str(name), codec.Levels(values, draw(st.integers(-3000, 300)))))
    raw = rng.integers(0, 2**32, draw(st.integers(1, 40)), dtype=np.uint32)
    return [*found, ("end", raw.view(np.float32))]


@settings(deadline=None, max_examples=60)
@given(arrays())
def test_round_trip_and_the_codecs_own_decoder(named):
    bitstream = codec.encode(named)
    for decoded in (codec.decode(bitstream), of_the_front_end(bitstream)):
        assert list(decoded) == [name for name, _ in named]
        for name, array in named:
            if isinstance(array, codec.Levels):
                expected = array.values.astype(np.float32) * np.float32(codec.step_of(array.qp))
                np.testing.assert_array_equal(decoded[name], expected)
            else:
                assert decoded[name].tobytes() == array.tobytes()


@given(st.floats(2.0**-31, 2.0**31))
def test_the_nearest_step_is_at_most_half_a_step_of_the_grid_off(step):
    qp = codec.nearest_qp(step)
    assert abs(codec.step_of(qp) / step - 1) <= 2.0**-8 + 1e-12
    distance = {q: abs(codec.step_of(q) - step) for q in (qp - 1, qp, qp + 1)}
    assert distance[qp] == min(distance.values())
    assert codec.nearest_qp(codec.step_of(qp)) == qp
    assert np.float32(codec.step_of(qp)) == codec.step_of(qp)


@pytest.mark.parametrize("step", [0.0, 2.0**-40, 2.0**33, float("inf"), float("nan")])
def test_steps_that_the_standard_does_not_have_are_refused(step):
    with pytest.raises(ValueError, match="expected 2"):
        codec.nearest_qp(step)


@pytest.mark.parametrize("qp", [-75, -44, -18, 0, 5])
def test_quantization_parameters_of_another_density(qp):
    step = (4 + qp % 4) * 2.0 ** (qp // 4 - 2)
    assert codec.step_of(codec.qp_of_density_2(qp)) == step


@pytest.mark.parametrize("lambda_scale", [0.0, 1.0])
def test_trellis_quantization_is_that_of_the_front_end(lambda_scale):
    weight = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)
    levels = codec.trellis(weight, codec.qp_of_density_2(-16), lambda_scale)
    ours = codec.decode(codec.encode([("w", levels)]))["w"]
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = nnc.compress(
            {"w": weight}, bitstream_path=None, return_bitstream=True, qp=-16, use_dq=True,
            lambda_scale=lambda_scale, row_skipping=True,
        )  # fmt: skip
    np.testing.assert_array_equal(ours, of_the_front_end(theirs)["w"])
    assert 0 < np.abs(ours - weight).max() < 4 * 2.0 ** (-16 / 4)


def test_units_lie_behind_each_other():
    levels = codec.Levels(np.arange(-50, 50, dtype=np.int32).reshape(10, 10), 0)
    raw = np.arange(5, dtype=np.float32)
    bitstream = codec.encode([("a", levels), ("raw", raw)])
    start, parameters, first, last = codec.units(bitstream)
    assert [start.name, parameters.name, first.name, last.name] == ["", "", "a", "raw"]
    assert last.end == len(bitstream)
    assert bitstream[last.payload : last.end] == raw.tobytes()
    assert start.end < parameters.end < first.payload < first.end < last.payload
