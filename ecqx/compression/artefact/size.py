"""How large a network is, and how much of it is zero."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def full_precision_bytes(model: torch.nn.Module) -> int:
    """4 bytes for every element of every parameter and buffer; what is shared counts once."""
    distinct = {
        id(tensor): tensor.numel()
        for tensor in model.state_dict(keep_vars=True).values()
        if isinstance(tensor, Tensor)
    }
    return 4 * sum(distinct.values())


def entropy_bytes(weights: Mapping[str, Tensor]) -> float:
    """First-order entropy of quantized weights, in bytes.

    What an ideal coder without memory would spend on the levels alone, each tensor with its own
    statistics: sum over tensors of n * H / 8. The rest of an artefact is biases, normalisation,
    steps and headers, and what context modelling gains or loses against this bound.
    """
    return sum(tensor.numel() * entropy_bits(tensor) / 8 for tensor in weights.values())


def sparsity(weights: Mapping[str, Tensor]) -> float:
    """Share of zeros among quantized weights, in [0, 1]."""
    tensors = weights.values()
    total = sum(tensor.numel() for tensor in tensors)
    return sum(int((tensor == 0).sum()) for tensor in tensors) / total if total else 0.0


def entropy_bits(tensor: Tensor) -> float:
    """First-order entropy of a tensor's levels, in bits per weight."""
    counts = tensor.flatten().unique(return_counts=True)[1].to(torch.float64)
    return max(-float((counts * torch.log2(counts / tensor.numel())).sum()) / tensor.numel(), 0.0)


def layer_rows(weights: Mapping[str, Tensor]) -> list[dict]:
    """What became of every weight tensor.

    Parameters
    ----------
    weights : by name, in the order of the network

    Returns
    -------
    list of dicts, one per tensor: tensor (name), position (place among
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
        for position, (name, tensor) in enumerate(weights.items())
    ]
