"""What symmetric relevance gain costs, beside Quantus' pixel flipping of the same maps.

    python -m benchmarks.faithfulness [--samples 64] [--groups 32] [--pairs 5] [--threads 1]

Cluttered digits and a small VGG trained on them for one epoch, three explainers, signed and
absolute maps. Both take turns in the same process; the ratio is the median over the pairs, so that
a machine whose speed drifts distorts both alike. Quantus is called twice per map, for it and for
its negative, with its own batches of 64 and the same groups of positions. Beside it the network's
own forward passes of as many inputs, in the layout in which it is fastest: about the least that the
gains could take. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import warnings

import numpy as np
import torch

from benchmarks.explainer_cost import trained
from benchmarks.timing import seconds
from ecqx.evaluation.evaluate import explain_all
from ecqx.evaluation.faithfulness import mean_filler, occlusion_curves

EXPLAINERS = ("lrp_epsilon_plus_flat", "grad_cam", "gradient_x_input")


def of_quantus(
    model: torch.nn.Module,
    x: torch.Tensor,
    target: torch.Tensor,
    maps: dict[tuple, torch.Tensor],
    filler: float,
    groups: int,
) -> dict[tuple, np.ndarray]:
    """Gain of every map by Quantus; what its curves lack, their beginning, is the same in both."""
    import quantus

    flip = quantus.PixelFlipping(
        features_in_step=x[0, 0].numel() // groups,
        normalise=False,
        perturb_baseline=filler,
        disable_warnings=True,
    )
    gains = {}
    for key, own in maps.items():
        reversed_own = own.amax() - own.double()  # it refuses maps that are negative everywhere
        most, least = (
            np.array(
                flip(
                    model=model,
                    x_batch=x.numpy(),
                    y_batch=target.numpy(),
                    a_batch=ordered[:, None].numpy(),
                    softmax=True,
                    device="cpu",
                )
            )
            for ordered in (own, reversed_own)
        )
        difference = np.concatenate([np.zeros((len(x), 1)), least - most], axis=1)
        gains[key] = np.trapz(difference, dx=1 / groups, axis=1)
    return gains


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--groups", type=int, default=32, help="a divisor of 1024")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")

    model, x, y, background = trained()
    x, y = x[: options.samples], y[: options.samples]
    fast = copy.deepcopy(model).to(memory_format=torch.channels_last)
    filler = mean_filler(background, False)
    maps = {}
    for name, own in explain_all(fast, x, y, EXPLAINERS).items():
        maps |= {(name, True): own, (name, False): own.abs()}
    found: dict[str, dict] = {}

    def own():
        curves = occlusion_curves(fast, x, y, maps, filler, options.groups)
        found["own"] = {key: curve.gain().numpy() for key, curve in curves.items()}

    def theirs():
        found["theirs"] = of_quantus(model, x, y, maps, filler.item(), options.groups)

    inputs = x.repeat(-(-128 // len(x)), 1, 1, 1)[:128]
    passes = -(-2 * len(maps) * options.groups * len(x) // len(inputs))

    def forward():
        with torch.inference_mode():
            for _ in range(passes):
                fast(inputs)

    own()
    times = [[seconds(run, "cpu") for run in (own, theirs, forward)] for _ in range(options.pairs)]
    # where positions tie, Quantus takes them in the order that its sort leaves them in
    untied = [key for key, m in maps.items() if all(len(part.unique()) == 1024 for part in m)]
    furthest = max(np.abs(found["own"][key] - found["theirs"][key]).max() for key in untied)
    row = {
        "samples": options.samples,
        "maps": len(maps),
        "groups": options.groups,
        "threads": options.threads,
        "seconds": statistics.median(t[0] for t in times),
        "quantus_seconds": statistics.median(t[1] for t in times),
        "forward_seconds": statistics.median(t[2] for t in times),
        "quantus_ratio": statistics.median(t[1] / t[0] for t in times),
        "forward_ratio": statistics.median(t[0] / t[2] for t in times),
        "compared_maps": len(untied),
        "largest_difference": float(furthest),
    }
    print(f"{'':24s} {'seconds':>8s}")
    for label, key in (("occlusion curves", "seconds"), ("Quantus", "quantus_seconds"),
                       ("forward passes alone", "forward_seconds")):  # fmt: skip
        print(f"{label:24s} {row[key]:8.3f}")
    print(f"Quantus takes {row['quantus_ratio']:.1f} times as long; they differ by {furthest:.1e}")
    print()
    print(json.dumps({key: round(v, 9) for key, v in row.items()}))


if __name__ == "__main__":
    main()
