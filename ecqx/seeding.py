"""Seeds derived from named parts, so that a new run never changes the randomness of an old one."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive_seed(*parts: str | int) -> int:
    """A seed that depends on all parts and on nothing else.

    Parameters
    ----------
    *parts : str or int, for example ``("compress", "digits", "residual_cnn", "ecq",
        "bits~4_lam~0.1", 0)``.

    Returns
    -------
    int in [0, 2**63): the first 63 bits of the SHA-256 digest of the parts. The parts are encoded
    as JSON, so that ("a", "bc") differs from ("ab", "c") and 1 from "1".

    Raises
    ------
    TypeError : a part is neither str nor int.
    """
    for part in parts:
        if not isinstance(part, (str, int)) or isinstance(part, bool):
            raise TypeError(f"seed part {part!r} is a {type(part).__name__}, expected str or int")
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*parts: str | int) -> torch.Generator:
    """A CPU ``torch.Generator`` seeded with :func:`derive_seed` of the parts."""
    import torch

    return torch.Generator().manual_seed(derive_seed(*parts))


@contextlib.contextmanager
def global_seed(rng: torch.Generator) -> Iterator[None]:
    """Seed torch's global generators from ``rng`` inside the block, restore them afterwards.

    Layers such as dropout draw from the global generators and take no ``rng`` of their own. Those
    of GPUs are restored where CUDA has started: asking for them would start it, also in a process
    that computes on the CPU.
    """
    import torch

    seed = int(torch.randint(2**62, (), generator=rng))
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed)
        yield
