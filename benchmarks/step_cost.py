"""What a training step of each method costs, as a ratio to a plain full-precision step.

    python -m benchmarks.step_cost [--models mlp_gsc ...] [--pairs 15] [--threads 1] [--device cpu]

A plain step (forward, backward, Adam) and a step of the method take turns on the same model and
minibatches in the same process; the ratio is the median over the pairs, so that a machine whose
speed drifts distorts both alike. Prints a table, then where the time of an ECQx step goes, in
forward-and-backward passes (LRP needs at least one more of them, the floor), and how much memory
it needs beyond a plain step; then one JSON line per row.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics

import torch

from benchmarks.timing import seconds
from ecqx.compression.assignment.assigners import EntropyConstrained, RelevanceConstrained
from ecqx.compression.assignment.by_relevance import Window
from ecqx.compression.assignment.relevance_sources import relevance_source
from ecqx.compression.contract import quantizable
from ecqx.compression.training import QuantizedTraining
from ecqx.tasks import models

CASES = {  # model -> input shape, classes, batch
    "resnet20": ((3, 32, 32), 10, 64),
    "mlp_gsc": ((1, 15, 49), 12, 64),
    "vgg16": ((3, 32, 32), 10, 32),
}
LEVELS, LAM = 16, 0.1


def make_assigner(method: str, model: torch.nn.Module):
    weights = quantizable(model)
    if method == "ecq":
        return EntropyConstrained(weights, levels=LEVELS, lam=LAM)
    source = relevance_source(
        "lrp",
        relevance_of="quantized",
        composite="epsilon_plus_flat",
        batch_norm="merge",
        start="output",
        rng=torch.Generator(),
    )
    return RelevanceConstrained(
        weights,
        source,
        levels=LEVELS,
        lam=LAM,
        window=Window("below", 0.1),
        rho=2.0,
        momentum=0.1,
        interval=4 if method == "ecqx_every_4th" else 1,
    )


class Plain:
    """Full-precision training with Adam."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model.train()
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)

    def step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(self.model(x), y).backward()
        self.optimizer.step()


class Quantized:
    """Training with a method's assignment after every step."""

    def __init__(self, model: torch.nn.Module, method: str) -> None:
        self.training = QuantizedTraining(model.train(), make_assigner(method, model), 1e-4, 10**6)

    def step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.training.step(torch.nn.functional.cross_entropy, x, y, None)


def ratio(plain, other, batches, pairs: int, device: str) -> float:
    """Median over pairs of the other's time to the plain one's, a step for each minibatch."""

    def steps(training):
        return seconds(lambda: [training.step(*batch) for batch in batches], device)

    steps(plain), steps(other)
    return statistics.median(steps(other) / steps(plain) for _ in range(pairs))


def shares(model, batch, device: str, repeats: int = 5) -> dict[str, float]:
    """Seconds of LRP, of the assignment, and of a forward and backward pass: medians."""
    assigner = make_assigner("ecqx", model)
    weights = {name: w.detach() for name, w in quantizable(model).items()}
    x, y = batch

    def forward_backward():
        torch.nn.functional.cross_entropy(model(x), y).backward()

    forward_backward()
    parts = {
        "forward and backward": forward_backward,
        "LRP": lambda: assigner.observe(model, weights, x, y),
        "assignment": lambda: assigner.codes(weights),
    }
    for run in parts.values():
        run()
    return {
        name: statistics.median(seconds(run, device) for _ in range(repeats))
        for name, run in parts.items()
    }


def peak_bytes(training, batch, device: str) -> int:
    """Largest amount of memory allocated at once during a step, beyond what was there before.

    On CUDA as the allocator counts it; on CPU the running sum of the profiler's allocations.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        training.step(*batch)
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profiler:
        training.step(*batch)
    level = peak = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            level += event.nbytes()
            peak = max(peak, level)
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    rows, notes = [], []
    for name in options.models:
        shape, classes, size = CASES[name]
        torch.manual_seed(0)
        model = models.get(name).build(shape, classes).to(options.device)
        labels = torch.arange(size, device=options.device) % classes
        # as many as one measurement of relevance is used for, at most
        batches = [(torch.randn(size, *shape, device=options.device), labels) for _ in range(4)]
        batch = batches[0]
        weight_bytes = 4 * sum(w.numel() for w in quantizable(model).values())
        for method in ("ecq", "ecqx", "ecqx_every_4th"):
            plain = Plain(copy.deepcopy(model))
            other = Quantized(copy.deepcopy(model), method)
            value = ratio(plain, other, batches, options.pairs, options.device)
            rows.append(
                {
                    "model": name,
                    "method": method,
                    "batch": size,
                    "threads": options.threads,
                    "device": options.device,
                    "ratio": round(value, 2),
                }
            )
            print(f"{name:10s} {method:16s} batch {size:3d}  ratio {value:5.2f}", flush=True)
        plain, other = Plain(copy.deepcopy(model)), Quantized(copy.deepcopy(model), "ecqx")
        for training in (plain, other):
            training.step(*batch)
        extra = peak_bytes(other, batch, options.device) - peak_bytes(plain, batch, options.device)
        parts = shares(copy.deepcopy(model).train(), batch, options.device)
        unit = parts["forward and backward"]
        notes.append(
            f"{name:10s} ECQx step, in forward-and-backward passes: LRP {parts['LRP'] / unit:.2f}, "
            f"assignment {parts['assignment'] / unit:.2f}; peak memory beyond a plain step "
            f"{extra / weight_bytes:.1f} x the weights"
        )
    print()
    print("\n".join(notes))
    print()
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
