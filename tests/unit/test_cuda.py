"""What runs on a GPU, against the CPU. Skipped where there is none."""

import shutil

import pytest
import torch

from ecqx.compression.assignment.by_relevance import Window, assign_by_relevance, rank
from ecqx.compression.assignment.diagram import Levels, assign, lambda_max, place
from ecqx.compression.assignment.grid import Grid, fit_grid
from ecqx.compression.peak_memory import PeakMemory
from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.evaluation.reference import load_reference
from ecqx.seeding import generator, global_seed
from ecqx.tasks import models
from ecqx.tasks.data import Split
from ecqx.tasks.runtime import make_deterministic
from ecqx.tasks.task import Budget, Task
from tests.unit.device_cases import CASES, CHAINS, Jobs

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(scope="module", autouse=True)
def settings():
    """Those of the jobs."""
    make_deterministic()
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """Chain -> its jobs on the GPU."""
    folder = tmp_path_factory.mktemp("cuda")
    return {chain: Jobs(chain, torch.device("cuda", 0), folder) for chain in CHAINS}


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
        grid = fit_grid(weight, levels=16)
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


@pytest.mark.parametrize("n_levels", [4, 32, 256])
def test_weights_are_counted_as_on_the_cpu(n_levels):
    rng = torch.Generator().manual_seed(0)
    grid = Grid(0.25, -(n_levels // 2), n_levels - 1 - n_levels // 2)
    code = torch.randint(grid.low - 9, grid.high + 10, (100_000,), generator=rng)
    # none in the middle between two levels
    weight = (code + 0.9 * (torch.rand(100_000, generator=rng) - 0.5)) * grid.step
    assert torch.equal(place(weight.cuda(), grid).counts.cpu(), place(weight, grid).counts)


@pytest.mark.parametrize(("chain", "stage"), CASES)
def test_jobs_compute_on_the_device(jobs, chain, stage):
    jobs[chain].run(stage)


def test_references_are_those_of_the_cpu(jobs, tmp_path):
    """What is said of explanations does not depend on where they are computed."""
    chain = "pascal_voc"
    jobs[chain].run("reference")
    on_cpu = Jobs(chain, torch.device("cpu"), tmp_path)
    on_cpu.run("pretrain")
    shutil.copy(jobs[chain].folder / "model.pt", on_cpu.folder)
    on_cpu.run("reference")
    here, there = (load_reference(each.folder / "reference.npz") for each in (on_cpu, jobs[chain]))
    assert torch.allclose(here.logits, there.logits, rtol=1e-3, atol=1e-4)
    for name, maps in here.maps.items():
        assert torch.allclose(
            maps, there.maps[name], rtol=1e-2, atol=1e-3 * float(maps.abs().max())
        )


def test_generators_of_the_device_come_back():
    torch.cuda.manual_seed(5)
    expected = torch.rand(2, device="cuda")
    torch.cuda.manual_seed(5)
    with global_seed(generator("y")):
        inside = torch.rand(2, device="cuda")
    assert torch.equal(torch.rand(2, device="cuda"), expected)
    with global_seed(generator("y")):
        assert torch.equal(torch.rand(2, device="cuda"), inside)


def test_peak_memory_is_that_of_the_device():
    memory = PeakMemory("cuda")
    before = memory.bytes()
    torch.ones(64 * 2**20 // 4, device="cuda")
    assert 60 * 2**20 < memory.bytes() - before < 70 * 2**20
    assert PeakMemory("cuda").bytes() < before + 2**20


def test_float32_is_computed_as_such():
    rng = torch.Generator().manual_seed(0)
    image, kernel = (torch.randn(4, 256, 8, 8, generator=rng) for _ in range(2))
    exact = torch.nn.functional.conv2d(image.double(), kernel.double())
    found = torch.nn.functional.conv2d(image.cuda(), kernel.cuda()).cpu()
    assert (found - exact).abs().max() < 1e-5 * exact.abs().max()
    a, b = image.reshape(256, -1), kernel.reshape(256, -1).T
    assert ((a.cuda() @ b.cuda()).cpu() - a.double() @ b.double()).abs().max() < 1e-3


@pytest.mark.parametrize("name", sorted(EXPLAINERS))
def test_explainers_agree_with_the_cpu(name):
    network, task = network_and_task()
    x, y = task.train.x[:8], task.train.y[:8]
    background = task.train.x[8:12]
    own = EXPLAINERS[name].fn(network, x, y, background)
    other = EXPLAINERS[name].fn(network.cuda(), x.cuda(), y.cuda(), background).cpu()
    assert torch.allclose(own, other, rtol=1e-2, atol=1e-3 * float(own.abs().max()))
