"""The forward pass of a network with everything that it computes as modules.

Relevance rules are attached to modules. Sums, products, attention and the like, where ``forward``
computes them itself, become modules of :mod:`ecqx.attribution.operations`, or torch's own, while
relevance is propagated; weights that ``forward`` uses itself (a position embedding, the factors of
a layer scale) then have relevance as well.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional
from zennit.layer import Sum

from ecqx.attribution import operations

# Under which the new modules are found in the network meanwhile.
PLACE = "operations_of_forward"

# Operations on tensors through which the gradient itself is the relevance: they move or select
# activations.
_ROUTING = {
    "adaptive_max_pool1d", "adaptive_max_pool2d", "cat", "clone", "concat", "concatenate",
    "max_pool1d", "max_pool2d", "max_pool3d", "pad", "stack", "tile",
}  # fmt: skip
# Of these, what gives its input itself, or may give a view of it.
_VIEWS = {
    "chunk", "contiguous", "dropout", "dropout2d", "expand", "expand_as", "feature_dropout",
    "flatten", "getitem", "movedim", "narrow", "permute", "reshape", "select", "split", "squeeze",
    "stochastic_depth", "swapaxes", "transpose", "unbind", "unflatten", "unsqueeze", "view",
}  # fmt: skip
_VIEW_LAYERS = (nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout, nn.Dropout2d)
# Those that leave their input as it is in evaluation mode, with the place of the mode.
_MODES = {"dropout": 2, "dropout2d": 2, "feature_dropout": 2, "stochastic_depth": 3}
# Functions of a tensor whose values are not tensors.
_SIZES = {"size", "dim", "numel", "shape", "ndim", "device", "dtype", "_assert", "isinstance"}
_ACTIVATIONS = {
    "relu6", "gelu", "silu", "hardswish", "hardtanh", "elu", "leaky_relu", "selu", "celu", "mish",
    "softplus", "sigmoid", "hardsigmoid", "tanh", "neg", "logsigmoid", "softsign",
}  # fmt: skip
_GATES = {"sigmoid", "hardsigmoid"}
_SYMBOLS = {"iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div", "truediv": "div",
            "true_divide": "div", "divide": "div", "multiply": "mul", "subtract": "sub",
            "imatmul": "matmul", "bmm": "matmul"}  # fmt: skip


def name_of(node: fx.Node) -> str:
    """What the node of an operation outside of modules does, whichever way it is written."""
    name = node.target if isinstance(node.target, str) else node.target.__name__
    if name == "getattr":
        name = str(node.args[1])
    name = name.strip("_") if name != "_assert" else name
    return _SYMBOLS.get(name, name)


def in_place(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether the operation of a node overwrites its first input."""
    if node.op == "call_module":
        return bool(getattr(modules[node.target], "inplace", False))
    if node.op not in ("call_function", "call_method"):
        return False
    name = node.target if isinstance(node.target, str) else node.target.__name__
    written = name in ("iadd", "isub", "imul", "itruediv", "imatmul")
    return bool(node.kwargs.get("inplace")) or written or name.rstrip("_") + "_" == name


@dataclass
class Rewriter:
    """Rewrites a traced graph in place.

    Attributes
    ----------
    graph : of the forward pass; its layers are leaves.
    modules : dict, the network's modules by name.
    weights : names of its parameters of two or more dimensions.
    added : dict: name below `PLACE` -> module that stands for an operation.
    used : names of the weights that forward uses itself, in order.
    refused : (node, why) of what has no rule.
    """

    graph: fx.Graph
    modules: dict[str, nn.Module]
    weights: set[str]
    added: dict[str, nn.Module] = field(default_factory=dict)
    used: dict[str, None] = field(default_factory=dict)
    refused: list[tuple[fx.Node, str]] = field(default_factory=list)

    def run(self) -> None:
        """Rewrite all that there is a rule for; the rest is `refused`."""
        # what computes with activations; constants and sizes do not
        self.active: set[fx.Node] = set()
        # constants whose gradient is their relevance, with the weights that they are
        self.routed: dict[fx.Node, set[str]] = {}
        nodes = list(self.graph.nodes)
        self._refuse_overwritten(nodes)
        self.erased: set[fx.Node] = set()
        for node in nodes:
            if node in self.erased:
                continue
            if node.op == "placeholder":
                self.active.add(node)
            elif node.op == "get_attr":
                self.routed[node] = {node.target} & self.weights
            elif node.op == "call_module":
                self.active.add(node)
                self._use(node)
                self._module(node)
            elif node.op in ("call_function", "call_method"):
                self._operation(node)
            elif node.op == "output":
                self._use(node)

    def _operation(self, node: fx.Node) -> None:
        name = name_of(node)
        if name in _SIZES:
            return
        if self.active.isdisjoint(node.all_input_nodes):
            weights = set().union(*(self.routed.get(each, ()) for each in node.all_input_nodes))
            if name in _ROUTING | _VIEWS:
                self.routed[node] = weights
            elif weights:
                self._refuse(node, f"{name} of {', '.join(sorted(weights))}")
            return
        self.active.add(node)
        self._use(node)
        if name in _MODES:
            mode = "train" if "train" in node.kwargs else "training"
            if _argument(node, _MODES[name], mode, True) is not False:
                self._refuse(node, f"{name} in evaluation mode")
        elif name in _ACTIVATIONS:
            self._activation(node)
        elif name not in _ROUTING | _VIEWS:
            getattr(self, f"_{name}", self._refuse)(node)

    def _use(self, node: fx.Node) -> None:
        for each in node.all_input_nodes:
            self.used |= dict.fromkeys(sorted(self.routed.get(each, ())))

    def _refuse(self, node: fx.Node, why: str | None = None) -> None:
        self.refused.append((node, why or name_of(node)))

    def _replace(self, node: fx.Node, module: nn.Module, args: tuple) -> fx.Node:
        """Put a new module in the place of a node."""
        name = str(len(self.added))
        self.added[name] = module
        with self.graph.inserting_before(node):
            new = self.graph.call_module(f"{PLACE}.{name}", args)
        node.replace_all_uses_with(new)
        self.active.add(new)
        self.graph.erase_node(node)
        return new

    def _operands(self, node: fx.Node) -> list[Any] | None:
        """The two operands; None if there are others or more."""
        operands = [*node.args, *(node.kwargs[k] for k in ("input", "other") if k in node.kwargs)]
        extra = node.kwargs.keys() - {"input", "other"}
        return None if len(operands) != 2 or extra else operands

    def _is_number(self, operand: Any) -> bool:
        return isinstance(operand, (int, float)) or (
            isinstance(operand, fx.Node) and operand not in self.active
        )

    # sums and factors

    def _add(self, node: fx.Node, minus: bool = False) -> None:
        operands = self._operands(node)
        if operands is None:
            self._refuse(node)
            return
        name = str(len(self.added))
        self.added[name] = operations.Stack(minus)
        with self.graph.inserting_before(node):
            stacked = self.graph.call_module(f"{PLACE}.{name}", tuple(operands))
        self._replace(node, Sum(dim=1), (stacked,))

    def _sub(self, node: fx.Node) -> None:
        self._add(node, minus=True)

    def _mul(self, node: fx.Node) -> None:
        operands = self._operands(node)
        if operands is None:
            self._refuse(node)
        elif any(map(self._is_number, operands)):
            self._replace(node, operations.Unchanged(operator.mul), tuple(operands))
        else:
            gates = [self._is_gate(operand) for operand in operands]
            if gates[0] == gates[1]:
                self._replace(node, operations.Product(), tuple(operands))
            else:
                signal_first = operands if gates[1] else operands[::-1]
                self._replace(node, operations.Gated(), tuple(signal_first))

    def _is_gate(self, node: fx.Node) -> bool:
        """Whether it is the output of a sigmoid, moved or not."""
        while self._is_view(node):
            node = node.args[0]
        if node.op != "call_module":
            return False
        if node.target.startswith(f"{PLACE}."):
            module = self.added[node.target.removeprefix(f"{PLACE}.")]
            return getattr(module, "is_gate", False)
        return isinstance(self.modules[node.target], (nn.Sigmoid, nn.Hardsigmoid))

    def _div(self, node: fx.Node) -> None:
        operands = self._operands(node)
        if operands is None or not self._is_number(operands[1]):
            self._refuse(node)
        else:
            self._replace(node, operations.Unchanged(operator.truediv), tuple(operands))

    # functions of one activation

    def _relu(self, node: fx.Node) -> None:
        self._replace(node, nn.ReLU(), (_input(node),))

    def _activation(self, node: fx.Node) -> None:
        name = name_of(node)
        function = getattr(functional, name, None) or getattr(torch, name)
        options = {k: v for k, v in node.kwargs.items() if k not in ("input", "inplace")}
        more = node.args[1:]
        if any(isinstance(each, fx.Node) for each in (*more, *options.values())):
            self._refuse(node)
            return
        if more and isinstance(more[-1], bool):  # inplace comes last
            more = more[:-1]
        call = functools.partial(_called, function, more, options)
        self._replace(node, operations.Unchanged(call, name in _GATES), (_input(node),))

    def _softmax(self, node: fx.Node) -> None:
        dim = _argument(node, 1, "dim")
        if isinstance(dim, int) and _argument(node, 3, "dtype") is None:
            self._replace(node, operations.Softmax(dim), (_input(node),))
        else:
            self._refuse(node)

    def _layer_norm(self, node: fx.Node) -> None:
        weight, bias = _argument(node, 2, "weight"), _argument(node, 3, "bias")
        shape, eps = _argument(node, 1, "normalized_shape"), _argument(node, 4, "eps", 1e-5)
        if any(isinstance(each, fx.Node) for each in (*shape, eps)):
            self._refuse(node)
            return
        self._replace(node, operations.LayerNorm(shape, eps), (_input(node), weight, bias))

    # means and pools

    def _mean(self, node: fx.Node) -> None:
        dim, keepdim = _argument(node, 1, "dim"), _argument(node, 2, "keepdim", False)
        known = isinstance(dim, (int, tuple, list)) and not isinstance(keepdim, fx.Node)
        if not known or node.kwargs.get("dtype") is not None:
            self._refuse(node)
            return
        dim = dim if isinstance(dim, int) else tuple(dim)
        self._replace(node, operations.Mean(dim, keepdim), (_input(node),))

    def _sum(self, node: fx.Node) -> None:
        dim = _argument(node, 1, "dim")
        plain = not _argument(node, 2, "keepdim", False) and node.kwargs.get("dtype") is None
        if isinstance(dim, (int, tuple, list)) and plain:
            dim = dim if isinstance(dim, int) else tuple(dim)
            self._replace(node, Sum(dim), (_input(node),))
        else:
            self._refuse(node)

    def _adaptive_avg_pool2d(self, node: fx.Node) -> None:
        self._pool(node, nn.AdaptiveAvgPool2d)

    def _adaptive_avg_pool1d(self, node: fx.Node) -> None:
        self._pool(node, nn.AdaptiveAvgPool1d)

    def _avg_pool2d(self, node: fx.Node) -> None:
        self._pool(node, nn.AvgPool2d)

    def _pool(self, node: fx.Node, kind: Callable[..., nn.Module]) -> None:
        options = {k: v for k, v in node.kwargs.items() if k != "input"}
        more = node.args[1:] if "input" not in node.kwargs else node.args
        if any(isinstance(each, fx.Node) for each in (*more, *options.values())):
            self._refuse(node)
        else:
            self._replace(node, kind(*more, **options), (_input(node),))

    # products of matrices

    def _linear(self, node: fx.Node) -> None:
        weight, bias = _argument(node, 1, "weight"), _argument(node, 2, "bias")
        if any(each in self.active for each in (weight, bias)):
            self._refuse(node)
        else:
            self._replace(node, operations.Dense(), (_input(node), weight, bias))

    def _matmul(self, node: fx.Node) -> None:
        operands = self._operands(node)
        if operands is None or any(map(self._is_number, operands)):
            self._refuse(node)
        else:
            self._replace(node, operations.MatrixProduct(), tuple(operands))

    def _scaled_dot_product_attention(self, node: fx.Node) -> None:
        names = ("query", "key", "value")
        inputs = tuple(_argument(node, i, name) for i, name in enumerate(names))
        mask, causal = _argument(node, 3, "attn_mask"), _argument(node, 5, "is_causal", False)
        scale = node.kwargs.get("scale")
        if (
            mask is not None
            or causal is not False
            or _argument(node, 4, "dropout_p", 0.0) != 0.0
            or node.kwargs.get("enable_gqa")
            or isinstance(scale, fx.Node)
            or not all(each in self.active for each in inputs)
        ):
            self._refuse(node)
        else:
            self._replace(node, operations.Attention(scale), inputs)

    # layers of torch's that become operations

    def _module(self, node: fx.Node) -> None:
        module = self.modules[node.target]
        if isinstance(module, nn.LayerNorm):
            new = operations.LayerNorm(module.normalized_shape, module.eps)
            parameters = self._parameters(node, module, ("weight", "bias"))
            self._replace(node, new, (_input(node), *parameters))
        elif isinstance(module, nn.Softmax) and module.dim is not None:
            self._replace(node, operations.Softmax(module.dim), (_input(node),))
        elif isinstance(module, nn.MultiheadAttention):
            self._attention(node, module)

    def _parameters(self, node: fx.Node, module: nn.Module, names: tuple[str, ...]) -> list:
        found = []
        with self.graph.inserting_before(node):
            for name in names:
                full = f"{node.target}.{name}"
                given = operator.attrgetter(name)(module) is not None
                found.append(self.graph.get_attr(full) if given else None)
                if given and full in self.weights:
                    self.used[full] = None
        return found

    def _attention(self, node: fx.Node, module: nn.MultiheadAttention) -> None:
        inputs = tuple(_argument(node, i, name) for i, name in enumerate(("query", "key", "value")))
        masks = (_argument(node, 3, "key_padding_mask"), _argument(node, 5, "attn_mask"))
        outputs = list(node.users)
        if (
            not all(isinstance(each, fx.Node) for each in inputs)
            or any(mask is not None for mask in masks)
            or _argument(node, 7, "is_causal", False) is not False
            or not module._qkv_same_embed_dim
            or module.bias_k is not None
            or module.add_zero_attn
            or any(name_of(each) != "getitem" for each in outputs)
            or any(each.args[1] != 0 and each.users for each in outputs)
        ):
            return  # it stays a layer without a rule
        parameters = self._parameters(
            node, module, ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
        )
        new = operations.MultiheadAttention(module.num_heads, module.batch_first)
        name = str(len(self.added))
        self.added[name] = new
        with self.graph.inserting_before(node):
            output = self.graph.call_module(f"{PLACE}.{name}", (*inputs, *parameters))
        self.active.add(output)
        for each in outputs:
            each.replace_all_uses_with(output)
            self.graph.erase_node(each)
            self.erased.add(each)
        self.graph.erase_node(node)

    def _refuse_overwritten(self, nodes: list[fx.Node]) -> None:
        """What is overwritten in place may not be used again: it is kept while rules are in use."""
        place = {node: i for i, node in enumerate(nodes)}
        for node in nodes:
            if not in_place(node, self.modules) or not isinstance(_input(node), fx.Node):
                continue
            source = _input(node)
            while self._is_view(source):
                source = source.args[0]
            same = [source]
            for each in same:
                same += [user for user in each.users if self._is_view(user) and user is not node]
            later = [
                user
                for each in same
                for user in each.users
                if place[user] > place[node] and user not in same and not _asks_size(user)
            ]
            if later:
                self._refuse(node, "overwrites what is used again")

    def _is_view(self, node: fx.Node) -> bool:
        if not node.args or not isinstance(node.args[0], fx.Node):
            return False
        if node.op == "call_module":
            return isinstance(self.modules.get(node.target), _VIEW_LAYERS)
        return node.op in ("call_function", "call_method") and name_of(node) in _VIEWS


def _asks_size(node: fx.Node) -> bool:
    return node.op in ("call_function", "call_method") and name_of(node) in _SIZES


def _input(node: fx.Node) -> Any:
    return _argument(node, 0, "input")


def _argument(node: fx.Node, place: int, name: str, default: Any = None) -> Any:
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)


def _called(function: Callable, more: tuple, options: dict, x: torch.Tensor) -> torch.Tensor:
    return function(x, *more, **options)
