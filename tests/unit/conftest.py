from pathlib import Path

import numpy as np
import pytest
import torch

from ecqx.tasks.data import Split
from ecqx.tasks.task import Budget, Task

_DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="session")
def assign_oracle():
    with np.load(_DATA / "assign_oracle.npz") as arrays:
        yield dict(arrays)


@pytest.fixture(scope="session")
def lrp_oracle():
    with np.load(_DATA / "lrp_oracle.npz") as arrays:
        yield dict(arrays)


@pytest.fixture(scope="session")
def attention_oracle():
    with np.load(_DATA / "attention_oracle.npz") as arrays:
        yield dict(arrays)


@pytest.fixture
def small_task():
    """Three classes of noisy bars, 8x8."""
    rng = torch.Generator().manual_seed(0)

    def split(n):
        y = torch.arange(n) % 3
        x = 0.4 * torch.randn(n, 1, 8, 8, generator=rng)
        x[torch.arange(n), 0, 2 * y + 1] += 1.0
        return Split(x, y)

    return Task("bars/cnn", split(128), split(64), 3, Budget(3, 2e-3, 32))


@pytest.fixture
def small_cnn():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 6, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(6),
        torch.nn.ReLU(),
        torch.nn.Conv2d(6, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(32, 3),
    )


@pytest.fixture
def small_mlp():
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(64, 20),
        torch.nn.ReLU(),
        torch.nn.Linear(20, 12),
        torch.nn.ReLU(),
        torch.nn.Linear(12, 3),
    )
