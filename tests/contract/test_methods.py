"""Every method under every check of the contract."""

import contextlib
import io
from pathlib import Path

import pytest
from nncodec import nnc

from ecqx.checks import CHECKS, example
from ecqx.compression.artefact import bitstream
from ecqx.compression.contract import quantizable
from ecqx.compression.loading import load_method
from ecqx.compression.run import compress_point

FILES = sorted((Path(__file__).parents[2] / "baselines").glob("*.py"))


@pytest.fixture(scope="module")
def network_and_task():
    return example()


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_contract(path, check, network_and_task):
    model, task = network_and_task
    check(load_method(path)(), model, task)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_any_decoder_of_the_standard_rebuilds_the_weights(path, network_and_task):
    """Bit by bit those that are evaluated, by the codec's own front end, without this library."""
    model, task = network_and_task
    outcome = compress_point(load_method(path), {}, model, task, ("compress", "test", 0))
    state = bitstream.decode(outcome.artefact)
    with contextlib.redirect_stdout(io.StringIO()):
        stock = nnc.decompress(bytearray(outcome.artefact))
    for letter, name in zip("ABC", quantizable(model), strict=True):
        assert stock[letter].tobytes() == state[name].numpy().tobytes()
        assert stock[letter].shape == tuple(state[name].shape)
