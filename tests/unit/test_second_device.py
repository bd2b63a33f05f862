"""Every job computes on a device that is not the CPU, and mixes it with the CPU nowhere.

No GPU is needed: the device is a pretended one, in a process of its own, see
:mod:`tests.unit.pretended_device`. Whether results are right there, `test_cuda.py` tests.
"""

import dataclasses
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.device_cases import CASES, CHAINS, ROOT, Jobs

MISSING = 77  # exit code


def add(on_device):
    return on_device + torch.ones(3)


def index(on_device):
    return torch.arange(3)[on_device.long()]


def join(on_device):
    return torch.stack([on_device[0], torch.tensor(1.0)])


def write_into(on_device):
    return torch.mul(on_device, 2, out=torch.empty(3))


def draw(on_device):
    return torch.rand(3, generator=torch.Generator(), device=on_device.device)


def draw_into(on_device):
    return on_device.normal_(generator=torch.Generator())


def to_numpy(on_device):
    return on_device.numpy()


def as_array(on_device):
    return np.asarray(on_device)


def forgetful_method(on_device):
    """A method that makes a tensor without saying where, run as the others are."""
    from ecqx.compression.assignment.assigners import Nearest
    from ecqx.compression.contract import quantizable
    from ecqx.compression.run import compress_point
    from ecqx.compression.training import quantize_once
    from ecqx.tasks.data import Split
    from ecqx.tasks.task import Budget, Task

    @dataclasses.dataclass(frozen=True)
    class Forgetful:
        def compress(self, model, task, rng):
            for weight in quantizable(model).values():
                weight.data.mul_(torch.ones(weight.shape))
            return quantize_once(model, Nearest(quantizable(model), levels=16))

    split = Split(torch.rand(4, 1, 2, 2), torch.arange(4) % 2)
    task = Task("made/up", split, split, 2, Budget(1, 1e-3, 2)).to(on_device.device)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)).to(on_device.device)
    compress_point(Forgetful, {}, network, task, ("forgetful",))


REFUSED = [
    add, index, join, write_into, draw, draw_into, to_numpy, as_array, forgetful_method,
]  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Case -> what went wrong, None if nothing did."""
    folder = tmp_path_factory.mktemp("device")
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.test_second_device", str(folder)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{ROOT / 'workflow'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode == MISSING:
        pytest.skip("this torch cannot pretend a device")
    assert done.returncode == 0, done.stdout[-5000:]
    return json.loads((folder / "outcomes.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(("chain", "stage"), CASES)
def test_jobs_compute_on_the_device(outcomes, chain, stage):
    assert outcomes[f"{chain} {stage}"] is None, outcomes[f"{chain} {stage}"]


@pytest.mark.slow
@pytest.mark.parametrize("mixing", [function.__name__ for function in REFUSED])
def test_mixed_devices_are_refused(outcomes, mixing):
    assert "on pretended:0" in (outcomes[mixing] or "nothing was refused")


@pytest.mark.slow
def test_what_a_gpu_allows_is_not_refused(outcomes):
    assert outcomes["allowed"] is None, outcomes["allowed"]


def allowed(on_device):
    """Single numbers and indices of the CPU, copies between the devices, numbers read back."""
    values = on_device * torch.tensor(2.0) + 1
    assert values[torch.tensor([0, 2])].device == on_device.device
    values.copy_(torch.arange(3.0))
    assert values.cpu().numpy().tolist() == values.tolist() == [0, 1, 2]
    assert float(values.max()) == 2 and bool((values == values.clone()).all())
    assert torch.tensor([1, 2], device=on_device.device).sum().item() == 3


def main(folder: Path) -> None:
    """Try all cases on the pretended device; what went wrong in each goes to outcomes.json."""
    try:
        from tests.unit.pretended_device import DEVICE, Pretended
    except ImportError:
        sys.exit(MISSING)
    torch.set_num_threads(1)
    jobs = {chain: Jobs(chain, DEVICE, folder) for chain in CHAINS}
    found = {}

    def attempt(name, function, *arguments):
        try:
            with Pretended():
                function(*arguments)
            found[name] = None
        except Exception:
            found[name] = traceback.format_exc()

    for chain, stage in CASES:
        attempt(f"{chain} {stage}", jobs[chain].run, stage)
    for function in [*REFUSED, allowed]:
        with Pretended():
            on_device = torch.arange(3.0).to(DEVICE)
        attempt(function.__name__, function, on_device)
    (folder / "outcomes.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
