"""What attribution matching adds to a training step, as a ratio to the same step without it.

    python -m benchmarks.matching_cost [--models small_vgg ...] [--pairs 15] [--threads 1]

Steps without (forward, backward, Adam) and steps with matching take turns on the same model and
minibatches in the same process, as many as the interval is long; the ratio of their processor time
is the median over the pairs, so that a machine whose speed drifts distorts both alike. Rows of a
student compare distillation with matching to distillation without: the teacher's forward pass is
shared. Prints a table, then one JSON line per row.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from contextlib import ExitStack

import torch
from torch import nn

from ecqx.compression.distillation import Distillation, Teacher
from ecqx.compression.methods.matching import MATCHINGS, AttributionMatching
from ecqx.tasks import models

CASES = {  # model -> input shape, classes, batch
    "small_vgg": ((1, 32, 32), 10, 64),
    "resnet20": ((3, 32, 32), 10, 64),
}
INTERVALS = (1, 2, 16)
STUDENT = 0.5  # width


class Training:
    """A network in training with Adam, with some of: matching, the teacher's logits."""

    def __init__(self, network: nn.Module, penalties: list) -> None:
        self.network, self.penalties = network.train(), penalties
        self.optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)

    def step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        logits = self.network(x)
        loss = nn.functional.cross_entropy(logits, y)
        for penalty in self.penalties:
            loss = loss + penalty(x, y, logits)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


def ratio(
    network: nn.Module,
    model: nn.Module,
    matching: str,
    interval: int,
    batches: list,
    pairs: int,
    distilled: bool,
) -> float:
    """Median over pairs of the time with matching to that without, ``interval`` steps each."""
    trainings = []
    with ExitStack() as stack:
        for matched in (False, True):
            own, teacher = copy.deepcopy(network), Teacher(model)
            penalties = []
            if matched:
                penalties.append(
                    stack.enter_context(
                        AttributionMatching(
                            own, batches[0][0][:1], gamma=100.0, matching=matching,
                            interval=interval, rng=torch.Generator(), teacher=teacher,
                        )
                    )
                )  # fmt: skip
            # the logits are a part of e2KD
            if distilled or (matched and matching == "e2kd"):
                penalties.append(Distillation(teacher, multilabel=False))
            trainings.append(Training(own, penalties))
        count = max(interval, len(batches))

        def steps(training):
            # tensors of their own, as in training: the teacher knows a minibatch that it saw again
            fresh = [(x.clone(), y) for x, y in (batches[k % len(batches)] for k in range(count))]
            # of the processor: other processes do not lengthen it
            start = time.process_time()
            for batch in fresh:
                training.step(*batch)
            return time.process_time() - start

        plain, other = trainings
        steps(plain), steps(other)
        return statistics.median(steps(other) / steps(plain) for _ in range(pairs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--matchings", nargs="+", choices=MATCHINGS, default=list(MATCHINGS))
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    rows = []
    for name in options.models:
        shape, classes, size = CASES[name]
        torch.manual_seed(0)
        model = models.get(name).build(shape, classes)
        student = models.get(name).build(shape, classes, width=STUDENT)
        labels = torch.arange(size) % classes
        batches = [(torch.randn(size, *shape), labels) for _ in range(2)]
        for kind, network in (("itself", model), ("student", student)):
            for matching in options.matchings:
                for interval in INTERVALS:
                    value = ratio(
                        network, model, matching, interval, batches, options.pairs,
                        distilled=kind == "student",
                    )  # fmt: skip
                    rows.append(
                        {"model": name, "of": kind, "matching": matching, "interval": interval,
                         "batch": size, "threads": options.threads, "ratio": round(value, 2)}
                    )  # fmt: skip
                    print(f"{name:10s} {kind:8s} {matching:5s} every {interval:2d}  "
                          f"ratio {value:5.2f}", flush=True)  # fmt: skip
    print()
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
