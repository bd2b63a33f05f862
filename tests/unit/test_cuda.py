"""What runs on a GPU, against the CPU. Skipped where there is none."""

from pathlib import Path

import pytest
import torch

from ecqx.compression import bitstream
from ecqx.compression.assignment import Levels, assign, lambda_max, place
from ecqx.compression.grid import fit_grid
from ecqx.compression.loading import load_method
from ecqx.compression.relevance_assignment import Window, assign_by_relevance, rank
from ecqx.compression.run import compress_point
from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.tasks import models
from ecqx.tasks.data import Split
from ecqx.tasks.task import Budget, Task

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
METHODS = sorted(
    path
    for path in (Path(__file__).parents[2] / "baselines").glob("*.py")
    if not path.stem.startswith("_")
)


def network_and_task():
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(96) % 4
    x = torch.randn(96, 1, 16, 16, generator=rng) + y[:, None, None, None]
    split = Split(x, y)
    torch.manual_seed(0)
    network = models.get("small_vgg").build((1, 16, 16), 4).eval()
    return network, Task("made/up", split, split, 4, Budget(1, 1e-3, 32))


def test_assignments_agree_with_the_cpu():
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(50_000, generator=rng, dtype=torch.float64)
    relevance = torch.randn(50_000, generator=rng, dtype=torch.float64) ** 3
    codes = {}
    for device in ("cpu", "cuda"):
        grid = fit_grid(weight, 4)
        own = weight.to(device)
        placed = [place(own, grid)]
        lam = 0.1 * lambda_max(placed, Levels.of(placed))
        rankings = rank([relevance.to(device)])
        torch.cuda.synchronize()
        found = assign(placed, Levels.of(placed), lam)
        found += assign_by_relevance(
            placed, rankings, Levels.of(placed), lam, window=Window("below", 0.1)
        )[0]
        codes[device] = [each.cpu() for each in found]
    for cpu, cuda in zip(codes["cpu"], codes["cuda"], strict=True):
        assert (cpu == cuda).double().mean() > 0.9999


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.stem)
def test_methods_compress_on_the_device(path):
    network, task = network_and_task()
    outcome = compress_point(
        load_method(path), {}, network.cuda(), task.to("cuda"), ("cuda", path.stem)
    )
    assert outcome.status == "ok"
    bitstream.load(network.cpu(), bitstream.decode(outcome.artefact))


@pytest.mark.parametrize("name", sorted(EXPLAINERS))
def test_explainers_agree_with_the_cpu(name):
    network, task = network_and_task()
    x, y = task.train.x[:8], task.train.y[:8]
    own = EXPLAINERS[name].fn(network, x, y)
    other = EXPLAINERS[name].fn(network.cuda(), x.cuda(), y.cuda()).cpu()
    assert torch.allclose(own, other, rtol=1e-2, atol=1e-3 * float(own.abs().max()))
