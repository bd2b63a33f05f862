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
    return sum(tensor.numel() * entropy_bits(tensor) / 8 for tensor in weights(state).values())


def sparsity(state: Mapping[str, Tensor]) -> float:
    """Share of zeros among the weights of two or more dimensions, in [0, 1]."""
    tensors = weights(state).values()
    total = sum(tensor.numel() for tensor in tensors)
    return sum(int((tensor == 0).sum()) for tensor in tensors) / total if total else 0.0


def entropy_bits(tensor: Tensor) -> float:
    """First-order entropy of a tensor's levels, in bits per weight."""
    counts = tensor.flatten().unique(return_counts=True)[1].to(torch.float64)
    return max(-float((counts * torch.log2(counts / tensor.numel())).sum()) / tensor.numel(), 0.0)


def layer_rows(state: Mapping[str, Tensor]) -> list[dict]:
    """What became of every weight tensor.

    Parameters
    ----------
    state : decoded state dict in the order of the network (``model.state_dict()`` once it is
        loaded), not of the bitstream, which sorts names.

    Returns
    -------
    list of dicts, one per tensor of two or more dimensions: tensor (name), position (place among
    them, from 0), weights (count), sparsity (share of zeros, in [0, 1]), entropy_bits (first-order
    entropy of its levels, in bits per weight).
    """
    return [
        {
            "tensor": name,
            "position": position,
            "weights": tensor.numel(),
            "sparsity": sparsity({name: tensor}),
            "entropy_bits": entropy_bits(tensor),
        }
        for position, (name, tensor) in enumerate(weights(state).items())
    ]


def weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that methods quantize: floating point, two or more dimensions, not empty."""
    return {
        name: tensor
        for name, tensor in state.items()
        if tensor.ndim >= 2 and tensor.is_floating_point() and tensor.numel()
    }
