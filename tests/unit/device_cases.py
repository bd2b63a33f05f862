"""The workflow's jobs in small, on a device of choice: every stage, on made-up data sets.

The scripts of the jobs run as they are; only their log and the choice of the device are replaced.
"""

import functools
import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch
from pipeline.jobs import rows
from pipeline.planning import run_table

from ecqx.compression.artefact import bitstream
from ecqx.compression.assignment.relevance_sources import SOURCES
from ecqx.evaluation.consistency import METRICS
from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.evaluation.localisation import LOCALISATIONS
from ecqx.seeding import generator
from ecqx.tasks import data, task
from ecqx.tasks.data import Dataset, Split
from ecqx.tasks.runtime import device_name

ROOT = Path(__file__).parents[2]
METHODS = sorted(path.stem for path in (ROOT / "baselines").glob("*.py"))
# Blocks of points, by method; all others have their defaults.
POINTS = {
    "uniform_ptq": [{"bits": 2}],
    "ecqx": [
        {"relevance": list(SOURCES), "window": "above", "relevance_of": "shadow"},
        {"composite": "epsilon_alpha2_beta1_flat", "start": "probability", "batch_norm": "pass"},
    ],
    "wcam": [{"variant": ["ewa", "swa", "sswa"]}],
}
_PRETRAINING = {"epochs": 1, "learning_rate": 1e-3, "batch_size": 8, "weight_decay": 1e-2}
_BUDGET = {"epochs": 1, "learning_rate": 1e-3, "batch_size": 8}


class Names(dict):
    """A mapping whose entries are attributes too, as those of Snakemake's objects are."""

    __getattr__ = dict.__getitem__


@dataclass(frozen=True)
class Chain:
    """A data set, the network that is trained on it, and which jobs there are.

    Attributes
    ----------
    model, classes, shape : of the network, of the data, of one input
    masks : "none", "bool" or "classes" (multi-label data with a class map)
    resident : whether the data are kept on the device
    methods : those that compress
    explainers : for anchors and evaluation; without any there is neither
    randomisation : whether the anchors have the sanity check of explainers
    """

    model: str
    classes: int
    shape: tuple[int, int, int]
    masks: str = "none"
    resident: bool = True
    methods: tuple[str, ...] = ("uniform_ptq", "ecqx_wcam")
    explainers: tuple[str, ...] = tuple(EXPLAINERS)
    randomisation: bool = False

    def stages(self) -> list[str]:
        compressed = [f"compress-{method}" for method in self.methods]
        return ["pretrain", *compressed, *(["anchors", "evaluate"] if self.explainers else [])]


CHAINS = {
    "cluttered_digits": Chain("small_vgg", 3, (1, 32, 32), "bool", methods=tuple(METHODS)),
    "pascal_voc": Chain("residual_cnn", 20, (3, 16, 16), "classes"),
    "speech_commands_test": Chain(
        "mlp_gsc", 12, (1, 15, 49), explainers=("lrp_epsilon_plus_flat",), randomisation=True
    ),
    "cifar10": Chain("residual_cnn", 10, (3, 32, 32), methods=("ecqx_wcam",), explainers=()),
    "spoken_keywords": Chain(
        "residual_cnn", 4, (1, 15, 49), resident=False, methods=("ecqx_wcam",), explainers=()
    ),
}
CASES = [(name, stage) for name, chain in CHAINS.items() for stage in chain.stages()]


def made_up(name: str) -> Dataset:
    """The data of a chain; class c is brighter than the one before."""
    chain, rng = CHAINS[name], generator("made up", name)

    def split(n: int) -> Split:
        label = torch.arange(n) % chain.classes
        x = torch.randn(n, *chain.shape, generator=rng) + 0.1 * label[:, None, None, None]
        side = chain.shape[1:]
        if chain.masks == "classes":
            y = torch.rand(n, chain.classes, generator=rng) < 0.05
            y[torch.arange(n), label] = True
            of_class = torch.randint(0, chain.classes + 1, (n, *side), generator=rng)
            return Split(x, y, of_class.to(torch.uint8))
        mask = torch.rand(n, *side, generator=rng) < 0.3 if chain.masks == "bool" else None
        return Split(x, label, mask)

    sizes = (24, chain.classes, chain.classes)
    return Dataset(name, tuple(f"c{c}" for c in range(chain.classes)), *map(split, sizes))


class Jobs:
    """The jobs of one chain on one device; each runs once, after those that it needs.

    Parameters
    ----------
    folder : where their files go
    """

    def __init__(self, name: str, device: torch.device, folder: Path) -> None:
        self.name, self.chain, self.device = name, CHAINS[name], device
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        data.save(made_up(name), self.folder / "data.pt")
        self.run = functools.cache(self._run)

    def _run(self, stage: str) -> None:
        kind, _, method = stage.partition("-")
        getattr(self, kind)(*filter(None, [method]))

    def pretrain(self) -> None:
        self._script(
            "pretrain",
            input=Names(data=self.folder / "data.pt", checkpoint=[]),
            params=Names(pretraining=_PRETRAINING, root=None),
            output=Names(
                model=self.folder / "model.pt",
                record=self.folder / "run.json",
                history=self.folder / "history.csv",
            ),
        )
        run = json.loads((self.folder / "run.json").read_text())
        assert (run["epoch"], run["device"]) == (1, device_name(self.device)), run

    def compress(self, method: str) -> None:
        self.run("pretrain")
        blocks = POINTS.get(method, [{}])
        self._script(
            "compress",
            input=Names(
                data=self.folder / "data.pt",
                model=self.folder / "model.pt",
                method=ROOT / f"baselines/{method}.py",
            ),
            params=Names(dataset=self.name, model=self.chain.model, budget=_BUDGET),
            output=self._outputs(method, "artefact", "record", "history"),
            config={"grids": {method: blocks}},
        )
        found = self._outputs(method, "record", "artefact")
        for record, artefact in zip(found.record, found.artefact, strict=True):
            run = json.loads(record.read_text())
            assert (run["status"], run["device"]) == ("ok", device_name(self.device)), run
            bitstream.decode(artefact.read_bytes())

    def anchors(self) -> None:
        self.run("pretrain")
        tables = ("attributions", "relevance", "randomisation", "skipped")
        self._script(
            "anchors",
            input=Names(data=self.folder / "data.pt", model=self.folder / "model.pt", retrained=[]),
            params=Names(evaluation=self._evaluation()),
            output=Names({n: self.folder / n for n in (*tables, "reference", "gallery")}),
        )
        assert bool(rows.read(self.folder / "randomisation")) == self.chain.randomisation

    def evaluate(self) -> None:
        self.run("anchors")
        self.run("compress-uniform_ptq")
        self._script(
            "evaluate",
            input=Names(
                data=self.folder / "data.pt",
                reference=self.folder / "reference",
                **self._outputs("uniform_ptq", "artefact", "record"),
            ),
            params=Names(evaluation=self._evaluation()),
            output=self._outputs(
                "uniform_ptq", "metrics", "maps", "attributions", "predictions", "layers"
            ),
        )
        found = self._outputs("uniform_ptq", "metrics", "attributions")
        for metrics, attributions in zip(found.metrics, found.attributions, strict=True):
            assert 0 <= json.loads(metrics.read_text())["accuracy"] <= 1
            explained = {row["explainer"] for row in rows.read(attributions)}
            assert explained == set(self.chain.explainers)

    def _evaluation(self) -> Names:
        return Names(
            explainers=list(self.chain.explainers),
            metrics=list(METRICS),
            localisation=list(LOCALISATIONS),
            samples=3,
            gallery_samples=2,
            randomisation=self.chain.randomisation,
        )

    def _outputs(self, method: str, *names: str) -> Names:
        """For each name a file per point."""
        points = run_table.expand_grid(POINTS.get(method, [{}]))
        folders = [self.folder / method / point / "seed~0" for point in points]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        return Names({name: [folder / name for folder in folders] for name in names})

    def _script(self, name: str, **settings) -> None:
        script = importlib.import_module(f"workflow.scripts.{name}")
        wildcards = Names(dataset=self.name, model=self.chain.model, seed="0")
        snakemake = Names(log=[None], wildcards=wildcards, **settings)
        with (
            mock.patch.object(script, "prepare", lambda _: self.device),
            mock.patch.object(script, "open_log", lambda _: print),
            mock.patch.object(task, "_RESIDENT_BYTES", 1 << 30 if self.chain.resident else 0),
        ):
            script.main(snakemake)
