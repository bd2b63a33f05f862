"""Every method under every check of the contract."""

from pathlib import Path

import pytest

from ecqx.checks import CHECKS, example
from ecqx.compression.loading import load_method

FILES = sorted((Path(__file__).parents[2] / "baselines").glob("*.py"))


@pytest.fixture(scope="module")
def network_and_task():
    return example()


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_contract(path, check, network_and_task):
    model, task = network_and_task
    check(load_method(path)(), model, task)
