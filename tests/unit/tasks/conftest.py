import pytest
import torch

from ecqx.tasks.data import Split
from ecqx.tasks.task import Budget, Task


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def global_rng_untouched():
    """Fails the test if it leaves torch's global generator in another state."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture
def bars():
    """Three classes of noisy horizontal bars, 1x6x6; easy but not trivial."""
    rng = torch.Generator().manual_seed(0)

    def split(n):
        y = torch.arange(n) % 3
        x = 0.5 * torch.randn(n, 1, 6, 6, generator=rng)
        x[torch.arange(n), 0, 2 * y] += 1.0
        return Split(x, y)

    return Task("bars/linear", split(90), split(45), 3, Budget(4, 1e-2, 16))
