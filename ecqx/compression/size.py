"""How large a network is, and how much of it is zero."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def full_precision_bytes(model: torch.nn.Module) -> int:
    """4 bytes for every element of every parameter and buffer."""
    return 4 * sum(tensor.numel() for tensor in model.state_dict().values())


def entropy_bytes(state: Mapping[str, Tensor]) -> float:
    """First-order entropy of the decoded weights of two or more dimensions, in bytes.

    What an ideal coder without memory would spend on the levels alone, each tensor with its own
    statistics: sum over tensors of n * H / 8. The rest of an artefact is biases, normalisation,
    steps and headers, and what context modelling gains or loses against this bound.
    """
    total = 0.0
    for tensor in _weights(state):
        counts = tensor.flatten().unique(return_counts=True)[1].to(torch.float64)
        total -= float((counts * torch.log2(counts / tensor.numel())).sum()) / 8
    return max(total, 0.0)


def sparsity(state: Mapping[str, Tensor]) -> float:
    """Share of zeros among the weights of two or more dimensions, in [0, 1]."""
    weights = _weights(state)
    total = sum(tensor.numel() for tensor in weights)
    return sum(int((tensor == 0).sum()) for tensor in weights) / total if total else 0.0


def _weights(state: Mapping[str, Tensor]) -> list[Tensor]:
    return [t for t in state.values() if t.ndim >= 2 and t.is_floating_point() and t.numel()]
