"""Which metric of attributions to trust: its resilience to noise, its reactivity to adversaries.

    python -m benchmarks.meta_evaluation RESULTS CSV [--perturbations 5] [--explainers NAME ...]
        [--occluded 32]

RESULTS is the folder of a finished run, such as that of config/meta_evaluation.yaml. Its networks
are decoded and explained again under noise as strong as in MetaQuantus [hedstrom2023metaquantus]:
each parameter times a factor from N(1, 0.001²), or at most 0.001 added to the inputs, of which
nothing should be seen; N(1, 2²), or at most 5, which should be seen. Maps are compared with those
that full precision has without noise, with masks where there are any, and, of the first samples,
with what the network decides when inputs are occluded (relevance gain); complexity, of which no
amount is right, is not judged. What is asked of a metric is in `ecqx.evaluation.meta_evaluation`;
networks are ranked that come from the same full-precision network.

Writes a row per task, seed, explainer, metric, sign of the maps and what is perturbed, means over
perturbations, and prints a Markdown table: means over explainers, with intervals over seeds.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor, nn

from ecqx.compression.artefact import bitstream
from ecqx.evaluation.agreement import decisions
from ecqx.evaluation.consistency import METRICS
from ecqx.evaluation.evaluate import channels_last, explain_all
from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.evaluation.faithfulness import filler_of, occlusion_curves
from ecqx.evaluation.localisation import LOCALISATIONS
from ecqx.evaluation.measures import measure_maps
from ecqx.evaluation.meta_evaluation import (
    adversary_reactivity,
    noise_resilience,
    noise_to_signal,
    perturbed_inputs,
    perturbed_network,
)
from ecqx.evaluation.reference import Reference, load_reference
from ecqx.results import files, metrics, rendering, statistics, style
from ecqx.results.keys import TASK, of_task, tasks_of
from ecqx.seeding import generator
from ecqx.tasks import data, models
from ecqx.tasks.data import Dataset
from ecqx.tasks.runtime import limit_threads, make_deterministic
from ecqx.tasks.task import predict

# What is perturbed -> how strongly: so that nothing should be seen of it, and so that all should.
NOISE = {"weights": (0.001, 2.0), "inputs": (0.001, 5.0)}
SCORES = ("intra_resilience", "inter_resilience", "intra_reactivity", "inter_reactivity")
HEADERS = [
    "Metric",
    "Maps",
    "Score",
    "Noise: values stay",
    "Noise: ranks stay",
    "Adversary: values move",
    "Adversary: values get worse",
    "Noise : adversary [%]",
]
NOTE = (
    "Score: mean of the next four, each 1 at best. Values stay, move: p-value of Wilcoxon's "
    "signed-rank test (0.5 on average where shifts go to neither side), and 1 minus it; ranks "
    "stay: share of the networks' ranks, sample by sample; get worse: share of values. Noise : "
    "adversary: how far values move under noise, relative to how far under the adversary. Means "
    "over explainers. "
)
MEASURE = ("explainer", "metric", "signed")
GAIN = "gain"  # beside the names of metrics
GROUPS = 25  # of positions, occluded one after the other


class Measured(NamedTuple):
    """What is seen of several networks, (networks, samples) each.

    Attributes
    ----------
    values : dict, (explainer, metric, signed) -> values; NaN where they are not defined.
    decided : ndarray of int, what the networks decide about the explained class.
    """

    values: dict[tuple[str, str, bool], np.ndarray]
    decided: np.ndarray


class Family:
    """The networks of a run that come from one full-precision network.

    Parameters
    ----------
    results : Path, the folder of the run.
    runs : DataFrame, rows of runs.csv, of one task and seed.
    explainers : sequence of str; those that the reference has no maps of are left out.
    occluded : int, the first samples, as many as there are, that the gain is taken of; 0: none.

    Raises
    ------
    ValueError : the reference has no maps of any of them.
    """

    def __init__(
        self, results: Path, runs: pd.DataFrame, explainers: Sequence[str], occluded: int
    ) -> None:
        dataset, model, seed = runs.iloc[0][[*TASK, "seed"]]
        self.task = (dataset, model, int(seed))
        self.dataset: Dataset = data.load(results / "data" / dataset / "data.pt")
        folder = f"{dataset}/{model}"
        path = results / f"pretrained/{folder}/seed~{seed}/reference.npz"
        self.reference: Reference = load_reference(path)
        self.explainers = [name for name in explainers if name in self.reference.maps]
        if not self.explainers:
            raise ValueError(f"{path} has no maps of {', '.join(explainers)}")
        index, target = self.reference.index, self.reference.target
        test = self.dataset.test
        self.x, self.mask = test.x[index], None
        self.occluded, self.filler = min(occluded, len(index)), filler_of(self.dataset)
        if test.mask is not None:
            self.mask = test.mask_of(index, target)
        self.networks: list[nn.Module] = []
        for method, point in runs[["method", "point"]].itertuples(index=False):
            path = results / f"runs/{folder}/{method}/{point}/seed~{seed}/model.nnc"
            artefact, classes = path.read_bytes(), len(self.dataset.classes)
            architecture = bitstream.architecture(artefact)
            network = models.network(model, self.dataset.input_shape, classes, **architecture)
            bitstream.load(network, bitstream.decode(artefact))
            self.networks.append(network)

    def measured(self) -> Measured:
        """Without noise."""
        return self._measured([(network, self.x) for network in self.networks])

    def perturbed(self, what: str, strength: float, k: int) -> Measured:
        """Under the k-th noise of one kind; that of inputs is the same for all networks."""
        parts = ("meta_evaluation", *self.task, what, str(strength), k)
        if what == "inputs":
            x = perturbed_inputs(self.x, strength, generator(*parts))
            return self._measured([(network, x) for network in self.networks])
        return self._measured(
            [
                (perturbed_network(network, strength, generator(*parts, place)), self.x)
                for place, network in enumerate(self.networks)
            ]
        )

    def _measured(self, pairs: list[tuple[nn.Module, Tensor]]) -> Measured:
        reference, values, decided = self.reference, [], []
        for network, x in pairs:
            maps = explain_all(
                network, x, reference.target, self.explainers, background=reference.background
            )
            values.append(self._values(network, x, maps))
            own = decisions(predict(network, x), self.dataset.multilabel)
            if self.dataset.multilabel:
                own = own.gather(1, reference.target[:, None]).squeeze(1)
            decided.append(own.numpy())
        together = {key: np.array([own[key] for own in values]) for key in values[0]}
        return Measured(together, np.array(decided))

    def _values(
        self, network: nn.Module, x: Tensor, maps: dict[str, Tensor]
    ) -> dict[tuple[str, str, bool], np.ndarray]:
        names = [*METRICS, *(LOCALISATIONS if self.mask is not None else ())]
        found = {
            (measure.explainer, measure.metric, measure.signed): measure.values.where(
                measure.defined, np.nan
            ).numpy()
            for measure in measure_maps(maps, self.reference.maps, self.mask, names)
        }
        if self.occluded:
            chosen = {
                (name, GAIN, signed): (own if signed else own.abs())[: self.occluded]
                for name, own in maps.items()
                for signed in (True, False)
            }
            target, groups = self.reference.target[: self.occluded], min(GROUPS, x[0, 0].numel())
            curves = occlusion_curves(
                channels_last(network), x[: self.occluded], target, chosen, self.filler, groups,
                self.dataset.multilabel,
            )  # fmt: skip
            for key, curve in curves.items():
                # of the others nothing is known
                rest = np.full(len(x) - self.occluded, np.nan)
                found[key] = np.concatenate([curve.gain().numpy(), rest])
        return found


def scores(plain: Measured, slightly: Measured, entirely: Measured) -> Iterator[dict]:
    """A row per explainer, metric and sign of the maps, under one noise of both strengths."""
    kept = slightly.decided == plain.decided
    changed = entirely.decided != plain.decided
    for key, before in plain.values.items():
        noisy, destroyed = slightly.values[key], entirely.values[key]
        counted = [part & ~np.isnan(before) for part in (kept, changed)]
        better = key[1] == GAIN or metrics.measured()[key[1]].higher_is_better
        found = (
            *noise_resilience(before, noisy, counted[0]),
            *adversary_reactivity(before, destroyed, counted[1], better),
        )
        ratio = noise_to_signal(before, noisy, destroyed, *counted)
        yield dict(zip(MEASURE, key, strict=True)) | dict(zip(SCORES, found, strict=True)) | {
            "noise_to_signal": ratio, "kept": kept.mean(), "changed": changed.mean()
        }  # fmt: skip


def rows(
    results: Path, perturbations: int, explainers: Sequence[str], occluded: int
) -> Iterator[pd.DataFrame]:
    """The rows of each task and seed, means over perturbations."""
    runs = files.read(results / "tables/runs.csv")
    for key, own in runs[runs["status"] == "ok"].groupby([*TASK, "seed"], sort=False):
        family = Family(results, own, explainers, occluded)
        plain = family.measured()
        found = []
        for what, strengths in NOISE.items():
            for k in range(perturbations):
                noisy = [family.perturbed(what, strength, k) for strength in strengths]
                found += [row | {"perturbed": what} for row in scores(plain, *noisy)]
        by = [*MEASURE, "perturbed"]
        table = pd.DataFrame(found).groupby(by, sort=False).mean().reset_index()
        table["score"] = table[list(SCORES)].mean(axis=1, skipna=False)
        for name, value in zip(("seed", "model", "dataset"), reversed(key), strict=True):
            table.insert(0, name, value)
        yield table
        print(f"{'/'.join(map(str, key))}: {len(own)} networks", flush=True)


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task and kind of noise: a row per metric and sign of the maps, best first."""
    by = [*TASK, "perturbed", "metric", "signed"]
    shown = ["score", *SCORES, "noise_to_signal"]
    of_seed = table.groupby([*by, "seed"])[shown].mean().reset_index()
    means = statistics.aggregate(of_seed, by, shown)
    means = means.sort_values("score_mean", ascending=False, kind="stable")
    sections = []
    for task, what in itertools.product(tasks_of(table), NOISE):
        own = of_task(means, task)
        own = own[own["perturbed"] == what]
        shares = of_task(table, task).query("perturbed == @what")[["kept", "changed"]].mean()
        title = (
            f"{style.task_label(*task)}: noise on {what} ({shares['kept']:.1%} of decisions kept, "
        )
        title += f"{shares['changed']:.1%} changed)"
        cells = [_cells(row) for row in own.to_dict("records")]
        sections.append(rendering.section(title, HEADERS, cells, names=2))
    seeds = of_seed.groupby(TASK)["seed"].nunique()
    return rendering.Document(
        "meta_evaluation", "Meta-evaluation", NOTE + rendering.interval_note(seeds), sections
    )


def _cells(row: dict) -> list[str]:
    def measure(name, factor=1):
        interval = tuple(row[f"{name}_{part}"] for part in ("mean", "half_width", "n"))
        return rendering.measure(interval, factor)

    maps = "signed" if row["signed"] else "absolute"
    parts = [measure(name) for name in ("score", *SCORES)]
    return [style.label(row["metric"]), maps, *parts, measure("noise_to_signal", 100)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder of a finished run")
    parser.add_argument("csv", type=Path, help="file that receives the rows")
    parser.add_argument("--perturbations", type=int, default=5, help="of each kind and strength")
    parser.add_argument(
        "--explainers", nargs="+", choices=EXPLAINERS, default=list(EXPLAINERS),
        help="of those of the run",
    )  # fmt: skip
    parser.add_argument(
        "--occluded", type=int, default=32, help="samples that the relevance gain is taken of"
    )
    options = parser.parse_args()
    limit_threads(1)
    make_deterministic()
    table = pd.concat(
        rows(options.results, options.perturbations, options.explainers, options.occluded),
        ignore_index=True,
    )
    table.to_csv(options.csv, index=False)
    print(rendering.to_markdown(document(table)))


if __name__ == "__main__":
    main()
