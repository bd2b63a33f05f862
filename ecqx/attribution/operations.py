"""Operations between layers as modules whose gradient is their relevance.

What ``forward`` computes outside of modules (sums, products, attention, normalisation) is put into
these while relevance is propagated, see :mod:`ecqx.attribution.rewriting`. Each gives the same
output as the operation that it stands for. In a backward pass that starts with relevance, each
hands to its inputs what its rule says; a weight that takes part receives its own relevance, by the
formula of :func:`ecqx.attribution.weight_relevance.weight_relevance`, if it requires a gradient.

Sources: AttnLRP [achtibat2024attnlrp], whose equations and propositions are meant below;
[arras2017recurrent] (gates: all relevance goes to the signal that is let through).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from zennit.core import stabilize

_EPSILON = 1e-6


class _WithRule(torch.autograd.Function):
    """An output whose gradients with respect to the inputs are what a rule says."""

    @staticmethod
    def forward(ctx, rule: Callable, output: Tensor, *inputs: Tensor | None) -> Tensor:
        ctx.rule = rule
        ctx.save_for_backward(output, *inputs)
        return output.view_as(output)

    @staticmethod
    def backward(ctx, relevance: Tensor):
        output, *inputs = ctx.saved_tensors
        return None, None, *ctx.rule(relevance, output, *inputs)


def _with_rule(rule: Callable, operation: Callable[..., Tensor], *inputs: Tensor | None) -> Tensor:
    with torch.no_grad():
        output = operation(*inputs)
    return _WithRule.apply(rule, output, *inputs)


class WithOwnRule(nn.Module):
    """An operation that follows the same rule in every composite."""


class Stack(nn.Module):
    """Two terms of a sum, broadcast, along a second dimension of their own.

    A sum is this with a ``zennit.layer.Sum`` behind it, whose rule shares relevance in proportion.
    What is constant (a position embedding) has its share too, and keeps it, as a bias does.

    Parameters
    ----------
    minus : whether the second term is subtracted.
    """

    def __init__(self, minus: bool = False) -> None:
        super().__init__()
        self.minus = minus

    def forward(self, a: Tensor | float, b: Tensor | float) -> Tensor:
        like = a if isinstance(a, Tensor) else b
        a, b = (
            each
            if isinstance(each, Tensor)
            else torch.tensor(each, dtype=like.dtype, device=like.device)
            for each in (a, b)
        )
        if self.minus:
            b = _with_rule(lambda relevance, *_: (relevance,), torch.neg, b)
        return torch.stack(torch.broadcast_tensors(a, b), dim=1)


class Mean(nn.Module):
    """Mean over dimensions; its rule is that of average pooling."""

    def __init__(self, dim: int | tuple[int, ...], keepdim: bool) -> None:
        super().__init__()
        self.dim, self.keepdim = dim, keepdim

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.dim, keepdim=self.keepdim)


class Unchanged(WithOwnRule):
    """A function of one activation, number by number; relevance goes through unchanged (eq. 9).

    Activation functions, and factors that are constant.

    Parameters
    ----------
    function : takes what ``forward`` is called with.
    is_gate : whether its values are between 0 and 1, to let a signal through.
    """

    def __init__(self, function: Callable[..., Tensor], is_gate: bool = False) -> None:
        super().__init__()
        self.function, self.is_gate = function, is_gate

    def forward(self, *inputs: Any) -> Tensor:
        tensors = [each for each in inputs if isinstance(each, Tensor)]

        def rule(relevance, _, *given):
            return tuple(
                relevance.sum_to_size(each.shape) if each.requires_grad else None for each in given
            )

        with torch.no_grad():
            output = self.function(*inputs)
        return _WithRule.apply(rule, output, *tensors)


class Product(WithOwnRule):
    """a * b, broadcast: half of the relevance to each (proposition 3.2)."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        def rule(relevance, _, *given):
            return tuple((relevance / 2).sum_to_size(each.shape) for each in given)

        return _with_rule(rule, torch.mul, a, b)


class Gated(WithOwnRule):
    """signal * gate, broadcast, the gate between 0 and 1: all relevance goes to the signal.

    What makes the gate is not reached by relevance, rather than by a relevance of zero.
    """

    def forward(self, signal: Tensor, gate: Tensor) -> Tensor:
        def rule(relevance, _, signal, gate):
            return relevance.sum_to_size(signal.shape), None

        return _with_rule(rule, torch.mul, signal, gate.detach())


class MatrixProduct(WithOwnRule):
    """factor * a @ b of two activations: by contribution, half to each side (proposition 3.3).

    R_a,ij = sum_p a_ij b_jp R_ip / (2 z_ip + eps), and likewise for b, with z the output.
    """

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        def rule(relevance, output, a, b):
            share = self.factor * relevance / stabilize(2 * output, _EPSILON)
            of_a = a * (share @ b.transpose(-1, -2)).sum_to_size(a.shape)
            return of_a, b * (a.transpose(-1, -2) @ share).sum_to_size(b.shape)

        return _with_rule(rule, lambda a, b: self.factor * (a @ b), a, b)


class Softmax(WithOwnRule):
    """Softmax over a dimension: R_i = x_i (R_i - s_i sum_j R_j) (proposition 3.1).

    The first-order expansion at x; what its constant term contributes is kept, as by a bias.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        def rule(relevance, output, x):
            finite = torch.where(x.isinf(), 0.0, x)
            return (finite * (relevance - output * relevance.sum(self.dim, keepdim=True)),)

        return _with_rule(rule, lambda x: x.softmax(self.dim), x)


class LayerNorm(WithOwnRule):
    """Layer normalisation, its deviation held constant (proposition 3.4), by the epsilon rule.

    What remains is linear in the input; the shift keeps what it contributes.

    Parameters
    ----------
    shape : of the last dimensions, over which is normalised
    eps : added to the variance
    """

    def __init__(self, shape: tuple[int, ...], eps: float) -> None:
        super().__init__()
        self.shape, self.eps = tuple(shape), eps

    def forward(self, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        dims = tuple(range(-len(self.shape), 0))

        def rule(relevance, output, x, weight, bias):
            variance = x.var(dims, correction=0, keepdim=True)
            share = relevance / stabilize(output, _EPSILON) / (variance + self.eps).sqrt()
            if weight is not None:
                share = share * weight
            return x * (share - share.mean(dims, keepdim=True)), None, None

        def operation(x, weight, bias):
            return nn.functional.layer_norm(x, self.shape, weight, bias, self.eps)

        return _with_rule(rule, operation, x, weight, bias)


class Dense(WithOwnRule):
    """x @ weight.T + bias by the epsilon rule, with the relevance of the weight."""

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        def rule(relevance, output, x, weight, bias):
            share = relevance / stabilize(output, _EPSILON)
            of_weight = None
            if weight.requires_grad:
                of_weight = weight * (share.flatten(0, -2).T @ x.flatten(0, -2))
            return x * (share @ weight), of_weight, None

        return _with_rule(rule, nn.functional.linear, x, weight, bias)


class Attention(WithOwnRule):
    """softmax(scale * q @ k^T) @ v, shapes (..., positions, features): its parts, one by one."""

    def __init__(self, scale: float | None = None) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        scale = 1 / math.sqrt(query.shape[-1]) if self.scale is None else self.scale
        scores = MatrixProduct(scale)(query, key.transpose(-1, -2))
        return MatrixProduct()(Softmax(-1)(scores), value)


class MultiheadAttention(WithOwnRule):
    """``nn.MultiheadAttention`` without masks: projections, `Attention` per head, projection.

    Called with the weights: (query, key, value, in_weight, in_bias, out_weight, out_bias), the
    first three of shape (n, positions, features), or (positions, n, features) unless batch_first.
    """

    def __init__(self, heads: int, batch_first: bool) -> None:
        super().__init__()
        self.heads, self.batch_first = heads, batch_first

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        in_weight: Tensor,
        in_bias: Tensor | None,
        out_weight: Tensor,
        out_bias: Tensor | None,
    ) -> Tensor:
        biases = (None,) * 3 if in_bias is None else in_bias.chunk(3)
        projected = []
        for x, weight, bias in zip((query, key, value), in_weight.chunk(3), biases, strict=True):
            x = x if self.batch_first else x.transpose(0, 1)
            heads = Dense()(x, weight, bias).unflatten(-1, (self.heads, -1))
            projected.append(heads.transpose(1, 2))
        mixed = Attention()(*projected).transpose(1, 2).flatten(2)
        output = Dense()(mixed, out_weight, out_bias)
        return output if self.batch_first else output.transpose(0, 1)
