"""torchvision's networks: compressed, decoded, explained, and what becomes of relevance in them.

    python -m benchmarks.networks [--networks mobilenet_v2 ...] [--size 64] [--method ecqx]

Each network, as torchvision builds it for five classes, is trained for a moment on patterns,
compressed in one epoch, decoded and explained. Printed per network: bytes, the explainers that
apply, and of the decoded network without biases, of the relevance that starts at the logit, the
part that reaches the input and what keeps the rest (``epsilon_plus_flat``).
"""

from __future__ import annotations

import argparse
import copy
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

import ecqx
from ecqx.attribution import lrp, rewriting
from ecqx.attribution.dataflow import dataflow
from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.tasks.task import evaluating, out_of_place

CLASSES = 5


def networks(size: int) -> dict[str, Callable[[], nn.Module]]:
    """torchvision's networks by name, for images of that many pixels a side."""
    from torchvision import models

    def vit_tiny() -> nn.Module:
        network = models.VisionTransformer(size, 16, 12, 3, 192, 768, num_classes=CLASSES)
        nn.init.trunc_normal_(network.heads.head.weight, std=0.02)  # zero would explain nothing
        return network

    return {
        "mobilenet_v2": lambda: models.mobilenet_v2(num_classes=CLASSES),
        "efficientnet_b0": lambda: models.efficientnet_b0(num_classes=CLASSES),
        "densenet121": lambda: models.densenet121(num_classes=CLASSES),
        "googlenet": lambda: models.googlenet(
            num_classes=CLASSES, aux_logits=False, init_weights=False
        ),
        "convnext_tiny": lambda: models.convnext_tiny(num_classes=CLASSES),
        "vit_tiny": vit_tiny,
    }


def patterns(size: int, n: int) -> tuple[Tensor, Tensor]:
    """Noisy images of one pattern per class."""
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(n) % CLASSES
    shapes = torch.randn(CLASSES, 3, size, size, generator=rng)
    return shapes[y] + 0.5 * torch.randn(n, 3, size, size, generator=rng), y


def trained(model: nn.Module, x: Tensor, y: Tensor, steps: int) -> nn.Module:
    """The network after some steps on all inputs, its batch norms with their statistics."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.5
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model.train()(x), y).backward()
        optimizer.step()
    return model.eval()


def without_biases(model: nn.Module, x: Tensor) -> nn.Module:
    """A copy in double precision in which biases, and what batch norms add, are zero.

    Batch norms take the deviations of these inputs, so that activations have their usual size.
    """
    model = copy.deepcopy(model).double()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
        for norm in norms:
            norm.momentum = 1.0
            norm.eps = 1e-12  # folding a batch norm divides by sqrt(1 + eps) once more
        model.train()(x.double())
        for norm in norms:
            norm.running_mean.zero_()
    return model.eval()


class Ledger(fx.Interpreter):
    """Runs a graph and keeps accounts of relevance: what comes to each node and what it hands on.

    Attributes
    ----------
    arrived, handed : Counter, node -> relevance, summed over the batch, once it has gone backwards.
    """

    def __init__(self, model: nn.Module, graph: fx.Graph) -> None:
        super().__init__(model, graph=graph)
        self.arrived: Counter[fx.Node] = Counter()
        self.handed: Counter[fx.Node] = Counter()

    def fetch_args_kwargs_from_env(self, n: fx.Node) -> tuple[tuple, dict]:
        args, kwargs = super().fetch_args_kwargs_from_env(n)

        def watched(value: Any) -> Any:
            if not isinstance(value, Tensor) or not value.requires_grad:
                return value
            value = value.view_as(value)  # of this node alone
            value.register_hook(lambda relevance: self.handed.update({n: float(relevance.sum())}))
            return value

        return fx.node.map_aggregate(args, watched), fx.node.map_aggregate(kwargs, watched)

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)

        def watch(value: Any) -> None:
            if isinstance(value, Tensor) and value.requires_grad:
                value.register_hook(
                    lambda relevance: self.arrived.update({n: float(relevance.sum())})
                )

        fx.node.map_aggregate(result, watch) if isinstance(result, tuple) else watch(result)
        return result


def account(model: nn.Module, x: Tensor, target: Tensor) -> tuple[float, float, dict[str, float]]:
    """Relevance that starts, that reaches the input, and that is kept on the way.

    Returns
    -------
    Sums over the batch: of the targets' logits, of the maps, and by kind of layer or operation what
    is kept. Kinds that keep less than 1e-6 of what starts are left out.
    """
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    graph = dataflow(model).graph
    rules = lrp.composite("epsilon_plus_flat")
    with evaluating(model), out_of_place(model), rules.context(model):
        ledger = Ledger(model, graph)
        logits = ledger.run(x.clone().requires_grad_())
        chosen = logits.gather(1, target[:, None])
        logits.backward(nn.functional.one_hot(target, logits.shape[1]) * logits.detach())
        names = {node: _kind(model, node) for node in graph.nodes}
    start, reached = float(chosen.detach().sum()), 0.0
    kept: Counter[str] = Counter()
    for node in graph.nodes:
        if node.op == "placeholder":
            reached += ledger.arrived[node]
        elif node.op != "output":
            kept[names[node]] += ledger.arrived[node] - ledger.handed[node]
    return start, reached, {k: v for k, v in kept.items() if abs(v) > 1e-6 * abs(start)}


def _kind(model: nn.Module, node: fx.Node) -> str:
    if node.op == "call_module":
        return type(model.get_submodule(node.target)).__name__
    return node.op if node.op in ("get_attr", "output", "placeholder") else rewriting.name_of(node)


def main() -> None:
    """Print a line per network."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="*", default=list(networks(64)))
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--method", default="ecqx")
    options = parser.parse_args()
    x, y = patterns(options.size, 20)
    for name in options.networks:
        torch.manual_seed(0)
        model = trained(networks(options.size)[name](), x, y, 5)
        start = time.perf_counter()
        result = ecqx.compress(
            model, (x, y), (x, y), method=options.method, epochs=1, learning_rate=1e-4, bits=4
        )
        seconds = time.perf_counter() - start
        decoded = ecqx.load(result.artefact, model)
        apply = [each for each, own in EXPLAINERS.items() if own.applies(decoded) is None]
        started, reached, kept = account(without_biases(decoded, x), x[:4].double(), y[:4])
        rest = ", ".join(f"{kind} {value / started:.1%}" for kind, value in kept.items())
        print(
            f"{name}: {result}; {seconds:.0f} s; without {sorted(EXPLAINERS.keys() - apply)}; "
            f"input {reached / started:.1%}, kept: {rest or 'nothing'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
