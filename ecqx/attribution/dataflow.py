"""What a network computes between its layers, read off its forward pass by tracing.

The order in which modules were registered says neither which of them runs first nor whose output a
batch norm takes, and sums or products written into ``forward`` are no modules at all. Relevance
rules need all of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from torch import fx, nn
from zennit.canonizers import AttributeCanonizer
from zennit.layer import Sum
from zennit.types import BatchNorm, Linear

from ecqx.attribution import rewriting
from ecqx.tasks.task import evaluating


@dataclass(frozen=True)
class Dataflow:
    """The forward pass of a network. Modules are named as in ``named_modules``.

    Attributes
    ----------
    layers : tuple of str, layers that follow a rule by their type, in the order in which they run.
    normalised : tuple of (str, str); linear or convolutional layers and the batch norms that take
        their output, where nothing else does and both run once.
    weights : tuple of str, parameters of two or more dimensions that ``forward`` uses itself, or
        that a layer hands to an operation.
    operations : dict: name -> module that stands for what ``forward`` computes outside of modules,
        see :mod:`ecqx.attribution.rewriting`.
    without_rule : tuple of str, operations that there is no such module for, each behind the
        module whose ``forward`` it is in.
    graph : the forward pass in layers and these modules; None of a single layer.
    """

    layers: tuple[str, ...]
    normalised: tuple[tuple[str, str], ...] = ()
    weights: tuple[str, ...] = ()
    operations: dict[str, nn.Module] = field(default_factory=dict)
    without_rule: tuple[str, ...] = ()
    graph: fx.Graph | None = None


_known: WeakKeyDictionary[nn.Module, tuple[list, Dataflow]] = WeakKeyDictionary()


def dataflow(model: nn.Module) -> Dataflow:
    """The forward pass of a network; traced once, then remembered as long as its parts stay.

    Raises
    ------
    ValueError : it depends on the values or the shape of what it is given, and cannot be traced.
    """
    if rewriting.PLACE in model._modules:  # it is running so at the moment
        return _known[model][1]
    parts = [(name, type(module)) for name, module in model.named_modules()]
    if model not in _known or _known[model][0] != parts:
        _known[model] = parts, _traced(model)
    return _known[model][1]


class OperationsAsModules(AttributeCanonizer):
    """Lets a network run with modules for what its ``forward`` computes outside of modules."""

    def __init__(self) -> None:
        super().__init__(None)

    def apply(self, root_module: nn.Module) -> list[AttributeCanonizer]:
        flow = dataflow(root_module)
        if not flow.operations:
            return []
        instance = self.copy()
        attributes = {
            rewriting.PLACE: nn.ModuleDict(flow.operations),
            "forward": lambda *args: fx.Interpreter(root_module, graph=flow.graph).run(*args),
        }
        instance.register(root_module, attributes)
        return [instance]

    def copy(self) -> OperationsAsModules:
        return type(self)()


class _Tracer(fx.Tracer):
    """Layers are leaves if they are torch's own, or compute as these do."""

    failed = ""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return is_layer(module)

    def call_module(self, module, forward, args, kwargs):
        try:
            return super().call_module(module, forward, args, kwargs)
        except Exception:
            self.failed = self.failed or self.path_of_module(module)
            raise


def is_layer(module: nn.Module) -> bool:
    """Whether a module computes what a class of torch's does, which is what rules know it by.

    A class that inherits from one of them and has a ``forward`` of its own does not.
    """
    forward = type(module).forward
    if forward is nn.Sequential.forward or "forward" in vars(module):
        return False
    if any(True for _ in module.children()) and forward is not nn.MultiheadAttention.forward:
        return False
    # what torch's forward of a convolution calls, which a class may have written anew
    parts = [forward, getattr(type(module), "_conv_forward", forward)]
    return forward is Sum.forward or all(
        getattr(part, "__module__", "").startswith("torch.nn.") for part in parts
    )


def _traced(model: nn.Module) -> Dataflow:
    if is_layer(model):
        # with a single layer there is nothing between layers
        return Dataflow(("",))
    modules = dict(model.named_modules())
    tracer = _Tracer()
    try:
        with evaluating(model):
            graph = tracer.trace(model)
    # tracing passes no tensor, so the user's code may raise anything; one line of it is enough
    except Exception as error:
        cause = str(error).strip().partition("\n")[0]
        where = f", in {tracer.failed}," if tracer.failed else ""
        raise ValueError(
            f"the forward pass of {type(model).__name__}{where} cannot be traced ({cause}); LRP "
            "traces it to find the order of layers"
        ) from error
    normalised = tuple(_normalised(graph, modules))
    paths = {
        node: node.target if node.op == "call_module" else tracer.node_name_to_scope[node.name][0]
        for node in graph.nodes
        if node.name in tracer.node_name_to_scope
    }
    weights = {name for name, parameter in model.named_parameters() if parameter.ndim > 1}
    rewriter = rewriting.Rewriter(graph, modules, weights)
    rewriter.run()
    layers = dict.fromkeys(
        node.target
        for node in graph.nodes
        if node.op == "call_module" and not node.target.startswith(f"{rewriting.PLACE}.")
    )
    refused = dict.fromkeys(f"{_named(modules, paths[n])}: {why}" for n, why in rewriter.refused)
    return Dataflow(
        tuple(layers),
        normalised,
        tuple(rewriter.used),
        rewriter.added,
        tuple(refused),
        graph,
    )


def _named(modules: dict[str, nn.Module], path: str) -> str:
    return f"{path} ({type(modules[path]).__name__})" if path else "forward"


def _normalised(graph: fx.Graph, modules: dict[str, nn.Module]) -> list[tuple[str, str]]:
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    found = []
    for node in graph.nodes:
        if node.op != "call_module" or not _merges(modules[node.target]) or not node.args:
            continue
        source = node.args[0]
        if (
            isinstance(source, fx.Node)
            and source.op == "call_module"
            and isinstance(modules[source.target], Linear)
            and len(source.users) == 1
            and calls[source.target] == calls[node.target] == 1
        ):
            found.append((source.target, node.target))
    return found


def _merges(module: nn.Module) -> bool:
    """Whether it is a batch norm with everything that is folded into the layer before it."""
    return (
        isinstance(module, BatchNorm)
        and module.weight is not None
        and module.running_mean is not None
    )
