"""LRP rules that replace a layer's backward pass instead of running beside it.

zennit's rules let autograd compute the layer's gradient, then throw it away and run the layer
forward and backward once more per modified copy of inputs and weights. The rules here cut the
graph at the layer and put their own backward pass in its place, take the layer's output from the
forward pass that just ran, and leave out the terms that vanish when no input is negative, as
behind every rectifier. Relevance is the same up to rounding.

Sources: [bach2015lrp] (epsilon and alpha-beta rule), [montavon2017taylor] (z+ rule).
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from zennit.core import Hook, RemovableHandle, RemovableHandleList
from zennit.layer import Sum

_EPSILON = 1e-6


class _Replaced(torch.autograd.Function):
    """A layer's output whose gradient with respect to the input is what a rule says."""

    @staticmethod
    def forward(ctx, activation: Tensor, output: Tensor, rule: Rule, module) -> Tensor:
        ctx.rule, ctx.module = rule, module
        # Only what the rule will look at: activations are most of the memory of a pass.
        ctx.save_for_backward(
            activation if rule.keeps_input else None, output if rule.keeps_output else None
        )
        return output.view_as(output)

    @staticmethod
    def backward(ctx, relevance: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.rule.propagate(ctx.module, *ctx.saved_tensors, relevance), None, None, None


class Rule(Hook):
    """A zennit hook that stands in for the backward pass of the layer it is attached to."""

    keeps_input = True
    keeps_output = False

    def register(self, module: torch.nn.Module) -> RemovableHandleList:
        return RemovableHandleList(
            [RemovableHandle(self), module.register_forward_hook(self.replace)]
        )

    def replace(self, module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor):
        return _Replaced.apply(inputs[0], output.detach(), self, module)

    def propagate(
        self,
        module: torch.nn.Module,
        activation: Tensor | None,
        output: Tensor | None,
        relevance: Tensor,
    ) -> Tensor:
        """Relevance of the layer's inputs, of their shape.

        Parameters
        ----------
        activation, output : the layer's input and output in the forward pass, if the rule keeps
            them
        relevance : Tensor, of the shape of ``output``: what arrives there
        """
        raise NotImplementedError


class Pass(Rule):
    """Relevance goes through unchanged: activations, batch normalisation."""

    keeps_input = False

    def propagate(self, module, activation, output, relevance):
        return relevance


class Epsilon(Rule):
    """R_i = a_i sum_j w_ij R_j / (z_j + eps sign z_j)."""

    keeps_output = True

    def propagate(self, module, activation, output, relevance):
        share = relevance / stabilised(output)
        return input_gradient(module, activation, share, module.weight.detach()).mul_(activation)


class Norm(Rule):
    """R_i = a_i sum_j (dz_j / da_i) R_j / (z_j + eps sign z_j), for sums and averages.

    The epsilon rule of layers that have no weights.
    """

    keeps_output = True

    def propagate(self, module, activation, output, relevance):
        share = relevance / stabilised(output)
        if isinstance(module, Sum) and isinstance(module.dim, int):
            return activation * share.unsqueeze(module.dim)
        with torch.enable_grad():
            free = activation.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(module.forward(free), free, share)
        return activation * gradient


class AlphaBeta(Rule):
    """R_i = alpha sum_j (a_i w_ij)+ R_j / z_j+  -  beta sum_j (a_i w_ij)- R_j / z_j-.

    With alpha = 1 and beta = 0 this is the z+ rule. Of the bias, the positive part counts to z+,
    the negative part to z-.
    """

    def __init__(self, alpha: float = 1.0, beta: float = 0.0) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta

    def copy(self) -> AlphaBeta:
        return type(self)(self.alpha, self.beta)

    def propagate(self, module, activation, output, relevance):
        weight, bias = module.weight.detach(), module.bias
        up, down = weight.clamp(min=0), weight.clamp(max=0)
        up_bias = down_bias = None
        if bias is not None:
            up_bias, down_bias = bias.detach().clamp(min=0), bias.detach().clamp(max=0)
        if bool(activation.min() >= 0):
            positive, negative = activation, None
        else:
            positive, negative = activation.clamp(min=0), activation.clamp(max=0)
        parts = []
        for factor, own, other, own_bias in (
            (self.alpha, up, down, up_bias),
            (-self.beta, down, up, down_bias),
        ):
            if factor == 0:
                continue
            total = apply_layer(module, positive, own, own_bias)
            if negative is not None:
                total = total + apply_layer(module, negative, other, None)
            share = relevance / stabilised(total)
            if factor != 1:
                share.mul_(factor)
            parts.append(input_gradient(module, positive, share, own).mul_(positive))
            if negative is not None:
                parts.append(input_gradient(module, negative, share, other).mul_(negative))
        return functools.reduce(Tensor.add_, parts)


def stabilised(total: Tensor) -> Tensor:
    """z + eps sign z, to divide by; 0 counts as positive."""
    return torch.copysign(total.new_tensor(_EPSILON), total).add_(total)


def apply_layer(
    module: torch.nn.Module, activation: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """A linear or convolutional layer's output with other parameters."""
    if isinstance(module, torch.nn.Linear):
        return torch.nn.functional.linear(activation, weight, bias)
    # The layer's own forward knows its padding mode, stride, dilation and groups.
    return module._conv_forward(activation, weight, bias)


def input_gradient(
    module: torch.nn.Module, activation: Tensor, grad: Tensor, weight: Tensor
) -> Tensor:
    """d <layer(activation; weight), grad> / d activation, of the shape of ``activation``."""
    if isinstance(module, torch.nn.Linear):
        return grad @ weight
    if _plain(module):
        return _convolution_backward(module, activation, grad, weight, (True, False, False))[0]
    with torch.enable_grad():
        free = activation.detach().requires_grad_()
        return torch.autograd.grad(module._conv_forward(free, weight, None), free, grad)[0]


def weight_gradient(module: torch.nn.Module, activation: Tensor, grad: Tensor) -> Tensor:
    """d <layer(activation; weight), grad> / d weight, of the shape of the weight."""
    weight = module.weight.detach()
    if isinstance(module, torch.nn.Linear):
        return grad.flatten(0, -2).T @ activation.flatten(0, -2)
    if _plain(module):
        return _convolution_backward(module, activation, grad, weight, (False, True, False))[1]
    with torch.enable_grad():
        free = weight.clone().requires_grad_()
        return torch.autograd.grad(module._conv_forward(activation, free, None), free, grad)[0]


def _plain(module: torch.nn.Module) -> bool:
    """Whether the convolution pads with zeros, by numbers."""
    return module.padding_mode == "zeros" and not isinstance(module.padding, str)


def _convolution_backward(module, activation, grad, weight, wanted):
    return torch.ops.aten.convolution_backward(
        grad,
        activation,
        weight,
        None,
        module.stride,
        module.padding,
        module.dilation,
        False,
        (0,) * len(module.stride),
        module.groups,
        wanted,
    )
