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
from pipeline.jobs import job, points, rows
from pipeline.places import Places
from pipeline.planning import run_table

from ecqx.compression.artefact import bitstream
from ecqx.compression.assignment.relevance_sources import SOURCES
from ecqx.evaluation.complexity import COMPLEXITIES
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
    "prune_structured": [{"quantizer": ["none", "cerwu"], "matching": "swa"}],
    "wcam": [{"matching": ["ewa", "swa", "sswa", "e2kd"]}],
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
    explainers : for reference and evaluation; without any there is neither
    randomisation : whether there is the sanity check of explainers
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
        explained = ["reference", "evaluate"] if self.explainers else []
        randomised = ["randomisation"] if self.randomisation else []
        return ["pretrain", *compressed, *explained, *randomised]


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


def _work_here(given, begin, *limits) -> None:
    """Without a process of its own: a device cannot be used on both sides of a fork."""
    work = begin()
    for point in given:
        work(point, None)


class Jobs:
    """The jobs of one chain on one device; each runs once, after those that it needs.

    Parameters
    ----------
    folder : where their files go
    """

    def __init__(self, name: str, device: torch.device, folder: Path) -> None:
        self.name, self.chain, self.device = name, CHAINS[name], device
        self.places = Places(folder / name)
        self.folder = self.places.pretrained(name, self.chain.model, 0)
        path = self.places.data(name)
        path.parent.mkdir(parents=True)
        data.save(made_up(name), path)
        self.run = functools.cache(self._run)

    def _run(self, stage: str) -> None:
        kind, _, method = stage.partition("-")
        getattr(self, kind)(*filter(None, [method]))

    def pretrain(self) -> None:
        self._script("pretrain", pretraining=_PRETRAINING, root="", checkpoint=None)
        run = json.loads((self.folder / "run.json").read_text())
        assert (run["epoch"], run["device"]) == (1, device_name(self.device)), run

    def compress(self, method: str) -> None:
        self.run("pretrain")
        points = self._points(method)
        self._script("compress", budget=_BUDGET, points=points, own_model=None)
        for point in points:
            folder = self._run_folder(method, point)
            run = json.loads((folder / "run.json").read_text())
            assert (run["status"], run["device"]) == ("ok", device_name(self.device)), run
            bitstream.decode((folder / "model.nnc").read_bytes())

    def reference(self) -> None:
        self.run("pretrain")
        self._script("reference", evaluation=self._evaluation(), retrained=None)
        assert (self.folder / "reference.npz").is_file()

    def randomisation(self) -> None:
        self.run("pretrain")
        self._script("randomisation", evaluation=self._evaluation())
        assert rows.read(self.folder / "randomisation.csv")

    def evaluate(self) -> None:
        self.run("reference")
        self.run("compress-uniform_ptq")
        points, evaluation = self._points("uniform_ptq"), self._evaluation()
        self._script("evaluate", points=points, evaluation=evaluation)
        for point in points:
            folder = self._run_folder("uniform_ptq", point)
            metrics = json.loads((folder / "metrics.json").read_text())
            assert 0 <= metrics["accuracy"] <= 1, metrics
            explained = {row["explainer"] for row in rows.read(folder / "attributions.csv")}
            assert explained == set(self.chain.explainers)

    def _evaluation(self) -> Names:
        return Names(
            explainers=list(self.chain.explainers),
            metrics=list(METRICS),
            localisation=list(LOCALISATIONS),
            complexity=list(COMPLEXITIES),
            faithfulness={"samples": 2, "groups": 25, "absolute": True},
            samples=3,
            gallery_samples=2,
        )

    def _points(self, method: str) -> list[dict]:
        points = run_table.expand_grid(POINTS.get(method, [{}]))
        return [
            {"method": method, "name": name, "params": params, "recipe": name}
            for name, params in points.items()
        ]

    def _run_folder(self, method: str, point: dict) -> Path:
        return self.places.run(self.name, self.chain.model, method, point["name"], 0)

    def _script(self, name: str, **settings) -> None:
        script = importlib.import_module(f"workflow.scripts.{name}")
        settings |= {"dataset": self.name, "model": self.chain.model, "seed": 0}
        method = next((point["method"] for point in settings.get("points", ())), "all")
        receipt = self.places.results / f"receipts/{name}/{method}.json"
        snakemake = Names(
            log=[None],
            config={
                "results_dir": str(self.places.results),
                "time_limit_s": None,
                "job_time_limit_s": None,
            },
            params=Names(settings=settings, needs={}, recipe="0"),
            output=Names(receipt=receipt),
        )
        with (
            mock.patch.object(script, "prepare", lambda _: self.device),
            mock.patch.object(job, "open_log", lambda _: print),
            mock.patch.object(script, "open_log", lambda _: print, create=True),
            mock.patch.object(points, "work_through", _work_here),
            mock.patch.object(task, "_RESIDENT_BYTES", 1 << 30 if self.chain.resident else 0),
        ):
            script.main(snakemake)
