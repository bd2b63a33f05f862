"""Where the variance between repetitions comes from: pretraining, compression, or the inputs.

    python -m benchmarks.variance RUNS.csv [--task cluttered_digits] [--pretraining-seeds 5]
                                           [--compression-seeds 3]

One task of config/default.yaml. Each of several pretrained networks is compressed several times, by
uniform quantization and by ECQx with about 4 bits; a compression seed decides on the order of the
data and their augmentation, alike for both methods, and on what a method draws itself. Measured on
each run are the change of accuracy against full precision, on the whole test split, and the mean
Pearson correlation of its gradient x input maps with those of full precision, on the samples that
the benchmark explains. Both are means over inputs; their values on every input are what
:func:`ecqx.results.statistics.variance_components` decomposes, for each method and for ECQx minus
uniform, run by run. Inputs count as drawn at random; that the explained ones are balanced by class
makes their share a little too large. Writes a row for each run as it is done, and prints a Markdown
table.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml

from ecqx.compression.artefact import bitstream, size
from ecqx.compression.loading import load_method
from ecqx.compression.run import compress_point
from ecqx.evaluation.agreement import hits
from ecqx.evaluation.consistency import pearson
from ecqx.evaluation.evaluate import evaluate_network, make_reference
from ecqx.evaluation.maps import informative
from ecqx.evaluation.subset import evaluation_pairs
from ecqx.results.statistics import VarianceComponents, variance_components
from ecqx.seeding import derive_seed, generator
from ecqx.tasks import datasets, models
from ecqx.tasks.pretrain import pretrain
from ecqx.tasks.runtime import limit_threads, make_deterministic
from ecqx.tasks.task import Budget, Task, objective

ROOT = Path(__file__).parents[1]
EXPLAINER = "gradient_x_input"
# of about the same size
POINTS = {"uniform": {"bits": 4}, "ecqx": {"bits": 4, "lam": 0.02}}
# label, and how numbers are written
MEASURES = {
    "accuracy_change": ("accuracy change (points)", lambda value: f"{100 * value:.2f}"),
    "pearson": ("Pearson correlation", lambda value: f"{value:.4f}"),
}
COLUMNS = (
    "method", "pretraining_seed", "compression_seed", "accuracy_fp32", "accuracy",
    "accuracy_change", "pearson", "pearson_std", "pearson_n", "compression_ratio",
)  # fmt: skip


def runs(
    config: dict, label: str, pretraining_seeds: int, compression_seeds: int
) -> Iterator[tuple[dict, dict[str, np.ndarray]]]:
    """Each run: its row in the file, and measure -> values on every input.

    Raises
    ------
    RuntimeError : a point led to no network, or full precision has no explanation of an input.
    """
    settings = config["task_settings"][label]
    names = settings["dataset"], settings["model"]
    dataset = datasets.get(names[0]).prepare(derive_seed("prepare_data", names[0]))
    test, build = dataset.test, models.get(names[1]).build
    _, score = objective(dataset)
    pairs = evaluation_pairs(
        test, config["evaluation"]["samples"], derive_seed("evaluation_subset", names[0])
    )
    training = dict(settings["pretraining"])
    weight_decay = training.pop("weight_decay")
    for pretraining in range(pretraining_seeds):
        order = derive_seed("order", "pretrain", *names, pretraining)
        task = Task.from_dataset(dataset, names[1], Budget(**training), order)
        rng = generator("pretrain", *names, pretraining)
        model = pretrain(build, task, rng, weight_decay).model
        reference = make_reference(model, test, dataset.validation, *pairs, [EXPLAINER], score)
        if not bool(informative(reference.maps[EXPLAINER]).all()):
            raise RuntimeError(f"pretraining seed {pretraining}: a map of full precision is empty")
        reference_hits = hits(reference.logits, test.y, test.multilabel)
        full_bytes = size.full_precision_bytes(model)
        for compression in range(compression_seeds):
            seeds = pretraining, compression
            order = derive_seed("order", *names, *seeds)
            task = Task.from_dataset(dataset, names[1], Budget(**settings["budget"]), order)
            for method, params in POINTS.items():
                method_class = load_method(ROOT / f"baselines/{method}.py")
                parts = ("compress", *names, method, *seeds)
                outcome = compress_point(method_class, params, model, task, parts)
                if outcome.status != "ok":
                    raise RuntimeError(f"{method}, seeds {seeds}: {outcome.reason}")
                decoded = models.network(names[1], dataset.input_shape, len(dataset.classes))
                bitstream.load(decoded, bitstream.decode(outcome.artefact))
                found = evaluate_network(decoded, test, reference, [EXPLAINER], score, ["pearson"])
                alike = pearson(found["maps"][EXPLAINER], reference.maps[EXPLAINER])
                correct = hits(found["logits"], test.y, test.multilabel)
                values = {
                    "accuracy_change": (correct.double() - reference_hits.double()).numpy(),
                    "pearson": alike.numpy(),
                }
                row = {
                    "method": method,
                    "pretraining_seed": pretraining,
                    "compression_seed": compression,
                    "accuracy_fp32": reference.accuracy,
                    "accuracy": found["accuracy"],
                    "accuracy_change": values["accuracy_change"].mean(),
                    "pearson": alike.mean().item(),
                    "pearson_std": alike.std().item(),
                    "pearson_n": len(alike),
                    "compression_ratio": full_bytes / len(outcome.artefact),
                }
                yield row, values


def table_rows(components: dict[tuple[str, str], VarianceComponents]) -> Iterator[str]:
    """The lines of the Markdown table, and a line for each estimate that was negative."""
    head = (
        "measure", "method", "mean", "pretraining seed", "compression seed", "inputs, by run",
        "a run's mean", "inputs, alike for all runs",
    )  # fmt: skip
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for (measure, method), found in components.items():
        (label, written), parts = MEASURES[measure], found.between_runs
        total = sum(parts.values())
        cells = [label, method, written(found.mean)]
        for part in parts.values():
            share = part / total if total else 0.0
            cells.append(f"{written(part**0.5)} ({share:.0%})")
        cells += [written(found.run_mean**0.5), written(found.choice_of_inputs**0.5)]
        yield f"| {' | '.join(cells)} |"
    yield ""
    for (measure, method), found in components.items():
        if found.negative:
            names = ", ".join(found.negative)
            yield f"Negative and set to 0, {MEASURES[measure][0]} of {method}: {names}."


def at_least_two(text: str) -> int:
    if (number := int(text)) < 2:
        raise argparse.ArgumentTypeError(f"{number}, expected at least 2")
    return number


def main() -> None:
    config = yaml.safe_load((ROOT / "config/default.yaml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv", type=Path, help="file that receives a row for each run")
    parser.add_argument("--task", choices=config["task_settings"], default="cluttered_digits")
    parser.add_argument("--pretraining-seeds", type=at_least_two, default=5)
    parser.add_argument("--compression-seeds", type=at_least_two, default=3)
    options = parser.parse_args()
    limit_threads(1)  # as in the workflow, whose pretrained networks these are
    make_deterministic()

    counts = options.pretraining_seeds, options.compression_seeds
    measured: dict[tuple[str, str], list[np.ndarray]] = {
        (measure, method): [] for measure in MEASURES for method in POINTS
    }
    with options.csv.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row, values in runs(config, options.task, *counts):
            writer.writerow(row)
            file.flush()
            for measure in MEASURES:
                measured[measure, row["method"]].append(values[measure])

    components = {}
    for measure in MEASURES:
        arrays = {method: np.reshape(measured[measure, method], (*counts, -1)) for method in POINTS}
        arrays["ecqx minus uniform"] = arrays["ecqx"] - arrays["uniform"]
        for method, array in arrays.items():
            components[measure, method] = variance_components(array)
    print(f"{options.task}: {counts[0]} pretraining seeds, {counts[1]} compression seeds of each. "
          "Standard deviations; in brackets the share of the parts' sum.\n")  # fmt: skip
    print("\n".join(table_rows(components)))
    inputs = {measure: components[measure, "ecqx"].n_inputs for measure in MEASURES}
    print(f"Inputs: {inputs['accuracy_change']} for accuracy, {inputs['pearson']} explained.")


if __name__ == "__main__":
    main()
