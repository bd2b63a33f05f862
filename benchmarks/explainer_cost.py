"""What explaining 256 samples costs, as a ratio to a forward and backward pass of the same samples.

    python -m benchmarks.explainer_cost [--explainers rap ...] [--pairs 5] [--threads 1]
                                        [--device cpu]

Cluttered digits and a small VGG trained on them for one epoch. A plain pass (logits, cross-entropy,
gradients of all weights, in the batches and the memory layout of the evaluation) and the explainer
take turns in the same process; the ratio is the median over the pairs, so that a machine whose
speed drifts distorts both alike. Beside it the same for Quantus' own loop, ``quantus.explain`` in
batches of 64 as its metrics call it, with zennit behind it, where zennit has the method (of
gradient x input the gradient, excitation backprop down to the input). Prints a table, then one JSON
line per row.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from benchmarks.timing import seconds
from ecqx.evaluation import subset
from ecqx.evaluation.evaluate import explain_all
from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.tasks.datasets import cluttered_digits
from ecqx.tasks.models import small_vgg

SAMPLES, BATCH, QUANTUS_BATCH = 256, 128, 64


def trained() -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A small VGG after one epoch, the samples to be explained, and their background."""
    data = cluttered_digits.compose(0, n_train=2000, n_validation=10, n_test=SAMPLES)
    torch.manual_seed(0)
    model = small_vgg.build(data.input_shape, len(data.classes))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for index in torch.randperm(len(data.train)).split(64):
        optimizer.zero_grad()
        cross_entropy(model(data.train.x[index]), data.train.y[index]).backward()
        optimizer.step()
    return model.eval(), data.test.x, data.test.y, subset.background(data.train, 0)


def plain_pass(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    for part, classes in zip(x.split(BATCH), y.split(BATCH), strict=True):
        model.zero_grad(set_to_none=True)
        cross_entropy(model(part), classes).backward()


def quantus_arguments(name: str) -> dict | None:
    """Arguments of ``quantus.explain`` for the method; None if zennit does not have it."""
    from zennit.attribution import Gradient, IntegratedGradients, SmoothGrad
    from zennit.canonizers import SequentialMergeBatchNorm

    composites = {
        "lrp_epsilon_plus_flat": "epsilon_plus_flat",
        "lrp_epsilon_alpha2_beta1_flat": "epsilon_alpha2_beta1_flat",
        "excitation_backprop": "excitation_backprop",
    }
    attributors = {
        "gradient_x_input": {"attributor": Gradient},
        "integrated_gradients": {
            "attributor": IntegratedGradients,
            "attributor_kwargs": {"n_iter": 32},
        },
        "smoothgrad": {"attributor": SmoothGrad, "attributor_kwargs": {"n_iter": 16}},
    }
    if name in composites:
        return {
            "attributor": Gradient,
            "composite": composites[name],
            "canonizer": SequentialMergeBatchNorm,
        }
    return attributors.get(name)


def quantus_pass(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, arguments: dict) -> None:
    import quantus

    device = str(x.device)
    arrays = x.cpu().numpy(), y.cpu().numpy()
    for start in range(0, len(x), QUANTUS_BATCH):
        part, classes = (array[start : start + QUANTUS_BATCH] for array in arrays)
        quantus.explain(model, part, classes, device=device, xai_lib="zennit", **arguments)


def compare(
    plain: Callable[[], object], other: Callable[[], object], pairs: int, device: str
) -> tuple[float, float]:
    """Medians over the pairs: the other's time to the plain pass's, and its seconds."""
    plain(), other()
    times = [(seconds(plain, device), seconds(other, device)) for _ in range(pairs)]
    ratio = statistics.median(theirs / reference for reference, theirs in times)
    return ratio, statistics.median(theirs for _, theirs in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--explainers", nargs="+", choices=EXPLAINERS, default=list(EXPLAINERS))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    model, x, y, background = trained()
    model, x, y = model.to(options.device), x.to(options.device), y.to(options.device)
    evaluated = copy.deepcopy(model).to(memory_format=torch.channels_last)
    compared = copy.deepcopy(model)

    def plain():
        plain_pass(evaluated, x, y)

    rows = []
    print(f"{'explainer':30s} {'ratio':>7s} {'seconds':>8s} {'Quantus':>8s}")
    for name in options.explainers:
        ratio, spent = compare(
            plain,
            lambda name=name: explain_all(evaluated, x, y, [name], BATCH, background),
            options.pairs,
            options.device,
        )
        arguments, quantus_ratio = quantus_arguments(name), None
        if arguments is not None:
            quantus_ratio, _ = compare(
                plain,
                lambda arguments=arguments: quantus_pass(compared, x, y, arguments),
                options.pairs,
                options.device,
            )
        rows.append(
            {
                "explainer": name,
                "samples": SAMPLES,
                "threads": options.threads,
                "device": options.device,
                "ratio": round(ratio, 2),
                "seconds": round(spent, 3),
                "quantus_ratio": quantus_ratio and round(quantus_ratio, 2),
            }
        )
        beside = "-" if quantus_ratio is None else f"{quantus_ratio:.2f}"
        print(f"{name:30s} {ratio:7.2f} {spent:8.3f} {beside:>8s}", flush=True)
    total = sum(row["seconds"] for row in rows)
    print(f"{'all of them':30s} {sum(row['ratio'] for row in rows):7.2f} {total:8.3f}")
    print()
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
