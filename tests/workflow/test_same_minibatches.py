"""Methods that do the same must give the same bytes: they start and train alike."""

import pytest
import yaml

from tests.workflow.conftest import SMOKE, copy_repository

pytestmark = pytest.mark.slow

GRIDS = {
    "uniform": [{}, {"bits": 4}],
    "ecq": [{"bits": 4, "lam": 0.1}],
    "ecqx": [
        {"bits": 4, "lam": 0.1, "relevance": "constant"},
        {"relevance": "shuffled"},
        {"relevance": "shuffled", "rho": 2.0},
    ],
    "wcam": [{"bits": 4, "gamma": 0.0}, {"matching": "sswa"}, {"matching": "sswa", "gamma": 100.0}],
}
SAME = [
    ("uniform/default", "uniform/bits~4"),
    ("ecq/bits~4_lam~0.1", "ecqx/bits~4_lam~0.1_relevance~constant"),
    ("uniform/bits~4", "wcam/bits~4_gamma~0.0"),
    ("ecqx/relevance~shuffled", "ecqx/relevance~shuffled_rho~2.0"),
    ("wcam/matching~sswa", "wcam/gamma~100.0_matching~sswa"),
]


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory):
    """The bitstreams of a run, by method and point, of one seed."""
    checkout = copy_repository(tmp_path_factory.mktemp("same"))
    config = {"seeds": [0], "methods": list(GRIDS), "grids": GRIDS}
    checkout.write("same.yaml", yaml.safe_dump(config))
    done = checkout.snakemake("--cores", "2", "--until", "compress", *SMOKE, "same.yaml")
    assert done.returncode == 0, done.stdout[-5000:]
    runs = checkout.results / "runs/digits/residual_cnn"
    files = runs.glob("*/*/seed~0/model.nnc")
    return {str(file.parents[1].relative_to(runs)): file.read_bytes() for file in files}


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_bytes(artefacts, one, other):
    assert artefacts[one] and artefacts[one] == artefacts[other]


def test_other_points_differ(artefacts):
    assert len(set(artefacts.values())) == len(artefacts) - len(SAME)
