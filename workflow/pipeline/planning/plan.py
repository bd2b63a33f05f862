"""From a configuration to jobs, and which of them are done.

A job is done if there is a receipt for its recipe, made of what its needs have made, and all files
in that receipt are what they were. Nothing is written here and no time stamp is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecqx.tasks.locating import locate
from ecqx.tasks.own_model import OwnModel
from pipeline import own, receipts
from pipeline.places import Places
from pipeline.planning import data_files, figure_names, run_table, sources

_ATTEMPT = re.compile(r"(?P<recipe>[0-9a-f]{16})(-(?P<attempt>\d+))?")
Share = list[tuple[str, str]]  # (method, point) of one job
_SCRIPTS = "workflow/scripts"
_OF_THE_MACHINE = ("results_dir", "data_root", "jobs_per_gpu", "time_limit_s", "job_time_limit_s")
# What of the evaluation's settings matters where; `randomisation` to its own stage alone.
_EVALUATE = (
    "gallery_samples", "explainers", "metrics", "localisation", "complexity", "faithfulness"
)  # fmt: skip
_REFERENCE = ("samples", *_EVALUATE)
_RANDOMISATION = ("samples", "explainers", "metrics")


@dataclass(frozen=True)
class Need:
    """What a job is made of.

    Attributes
    ----------
    job : the job that makes it
    files : names of those of its files that are read; None for all
    steady : whether making it again by the same recipe gives the same, so that what was made of it
        stays as it is. Records of a run (its time, its machine) are not steady.
    """

    job: Job
    files: tuple[str, ...] | None = None
    steady: bool = True


@dataclass(eq=False)
class Job:
    """One job of the workflow.

    Attributes
    ----------
    stage, parts : the rule, and what tells the job from others of the rule, as folders
    recipe : fingerprint of its code, its settings and the recipes of its needs
    settings : what its script is told
    needs : what it is made of
    after : jobs that come first though it is not made of what they make
    receipt : the file that it leaves
    done : whether that file is there, and everything in it is as it should be
    spoilt : whether it was done, by this recipe, and its files were lost or damaged since
    made : the receipt, of a job that is done
    """

    stage: str
    parts: tuple[str, ...]
    recipe: str
    settings: dict[str, Any]
    needs: tuple[Need, ...] = ()
    after: tuple[Job, ...] = ()
    receipt: Path = field(default_factory=Path)
    done: bool = False
    spoilt: bool = False
    made: receipts.Receipt | None = None

    @property
    def key(self) -> str:
        """What the job is called in receipts."""
        return "/".join((self.stage, *self.parts))


class Plan:
    """All jobs of a configuration.

    Parameters
    ----------
    config : the merged configuration, see ``config/default.yaml``
    root : repository root
    attempts : the names of receipts as another process has chosen them, see :attr:`attempts`;
        nothing is read from the folder of results then, and no job counts as done

    Attributes
    ----------
    jobs : all of them
    attempts : key of a job -> number in the name of its receipt, where that is not 0. A number is
        counted up where files were lost or damaged, because Snakemake plans a job for a file that
        is not there.
    damaged : files that were lost or damaged since they were written, relative to the results
    """

    def __init__(
        self, config: Mapping[str, Any], root: Path, attempts: Mapping[str, int] | None = None
    ) -> None:
        self.config, self.root = config, root
        self.places = Places(Path(config["results_dir"]))
        self.jobs: list[Job] = []
        self.attempts: dict[str, int] = dict(attempts or {})
        self.damaged: list[str] = []
        self._verify = attempts is None
        self._known: dict[str, Job] = {}
        self.tasks = own.tasks(config)
        self.seeds = config["seeds"]
        self.points = {
            name: run_table.expand_grid(config["grids"][name]) for name in config["methods"]
        }
        self._data_root = data_files.data_root(config)
        self._own_data = own.described(config, "dataset")
        models = own.described(config, "model")
        self._own_models = {name: OwnModel(**entry) for name, entry in models.items()}
        self.check = self._check()
        evaluated = [
            self.evaluated(task, seed, k, share)
            for task, shares in [(task, self._shares(task)) for task in self.tasks.values()]
            for seed in self.seeds
            for k, share in enumerate(shares)
        ]
        references = [self.reference(t, s) for t in self.tasks.values() for s in self.seeds]
        randomised = [
            self._randomisation(task, seed)
            for task in self.tasks.values()
            for seed in self.seeds
            if config["evaluation"]["randomisation"]
        ]
        self.collect = self._collect(references, randomised, evaluated)
        self.tables = self._of_tables("make_tables", self._tables_settings(), [])
        shown = [job for job in references if job.settings["seed"] == self.seeds[0]]
        shown += [job for job in evaluated if job.settings["seed"] == self.seeds[0]]
        maps = [Need(job, ("reference.npz", "gallery.npz", "maps.npz")) for job in shown]
        self.figures = self._of_tables("draw_figures", self._figures_settings(), maps)
        self.page = self._of_tables("make_page", self._page_settings(), maps)

    # -- jobs ----------------------------------------------------------------------------------

    def _check(self) -> Job:
        """The configuration against the library: parameters of methods, files of data sets."""
        grids = {name: list(points.values()) for name, points in self.points.items()}
        methods = [f"baselines/{name}.py" for name in grids]
        tasks = [file for task in self.tasks.values() for file in self._task_files(task)]
        settings = {"grids": grids, "data_root": str(self._data_root or "")}
        settings["tasks"] = {label: self.config["task_settings"][label] for label in self.tasks}
        return self._add("check", (), [f"{_SCRIPTS}/check.py", *methods, *tasks], settings)

    def data(self, dataset: str) -> Job:
        """A data set, prepared."""
        parts = (dataset,)
        if known := self._known.get(f"prepare_data/{dataset}"):
            return known
        settings = {"dataset": dataset, "root": "", "own": self._own_data.get(dataset)}
        file = self._dataset_file(dataset)
        if dataset in self._own_data:
            path = locate(self._own_data[dataset]["path"], self._data_root)
            settings["own_files"] = data_files.fingerprint(path)
        if dataset in self._own_data or data_files.reads_disk(self.root / file):
            # of a data set that reads nothing, another folder is no reason to prepare it again
            settings["root"] = str(self._data_root or "")
        code = [f"{_SCRIPTS}/prepare_data.py", file]
        return self._add("prepare_data", parts, code, settings, after=(self.check,))

    def pretrained(self, task: Mapping[str, Any], seed: int) -> Job:
        """The full-precision network of a task."""
        parts = (task["dataset"], task["model"], f"seed~{seed}")
        if known := self._known.get("/".join(("pretrain", *parts))):
            return known
        settings = self._network(task) | {"seed": seed, "pretraining": task.get("pretraining")}
        settings |= {"root": "", "checkpoint": None}
        own_model = self._own_models.get(task["model"])
        if own_model is None and data_files.reads_disk(self.root / self._model_file(task["model"])):
            settings["root"] = str(self._data_root or "")
        if own_model is not None and own_model.checkpoint is not None:
            path = locate(own_model.checkpoint, self._data_root)
            settings["checkpoint"] = [str(path), receipts.file_digest(path)]
        code = [f"{_SCRIPTS}/pretrain.py", *self._task_files(task)]
        needs = [Need(self.data(task["dataset"]))]
        return self._add("pretrain", parts, code, settings, needs, (self.check,))

    def reference(self, task: Mapping[str, Any], seed: int) -> Job:
        """The full-precision network as reference of comparisons, and their anchors."""
        model = self.pretrained(task, seed)
        if known := self._known.get("/".join(("reference", *model.parts))):
            return known
        settings = self._network(task) | {"seed": seed, "retrained": None}
        settings["evaluation"] = self._evaluation(_REFERENCE)
        code = [f"{_SCRIPTS}/reference.py", *self._task_files(task)]
        needs = [Need(self.data(task["dataset"])), Need(model, ("model.pt",))]
        # weights that were given are the same for every seed
        if model.settings["checkpoint"] is None:
            settings["retrained"] = run_table.retrained_seed(seed)
            retrained = self.pretrained(task, settings["retrained"])
            needs.append(Need(retrained, ("model.pt",)))
        return self._add("reference", model.parts, code, settings, needs)

    def _randomisation(self, task: Mapping[str, Any], seed: int) -> Job:
        """Whether explainers notice that a network's layers were randomised."""
        model = self.pretrained(task, seed)
        settings = self._network(task) | {"seed": seed}
        settings["evaluation"] = self._evaluation(_RANDOMISATION)
        code = [f"{_SCRIPTS}/randomisation.py", *self._task_files(task)]
        needs = [Need(self.data(task["dataset"])), Need(model, ("model.pt",))]
        return self._add("randomisation", model.parts, code, settings, needs)

    def compressed(self, task: Mapping[str, Any], seed: int, k: int, share: Share) -> Job:
        """The k-th share of the points of all methods on a full-precision network."""
        model = self.pretrained(task, seed)
        base = self._network(task) | {"seed": seed, "budget": task["budget"]}
        script, files = f"{_SCRIPTS}/compress.py", self._task_files(task)
        needs = [Need(self.data(task["dataset"])), Need(model, ("model.pt",))]
        points = []
        for method, name in share:
            point = {"method": method, "name": name, "params": self.points[method][name]}
            code = [script, f"baselines/{method}.py", *files]
            recipe = self._recipe("compress", code, base | {"point": point}, needs)
            points.append(point | {"recipe": recipe})
        methods = dict.fromkeys(f"baselines/{point['method']}.py" for point in points)
        settings = base | {"points": points}
        parts = (task["dataset"], task["model"], f"seed~{seed}", str(k))
        return self._add("compress", parts, [script, *methods, *files], settings, needs)

    def evaluated(self, task: Mapping[str, Any], seed: int, k: int, share: Share) -> Job:
        """The decoded networks of a share of points, measured."""
        compressed = self.compressed(task, seed, k, share)
        base = self._network(task) | {"seed": seed}
        base["evaluation"] = self._evaluation(_EVALUATE)
        code = [f"{_SCRIPTS}/evaluate.py", *self._task_files(task)]
        needs = [
            Need(self.data(task["dataset"])),
            Need(self.reference(task, seed), ("reference.npz",)),
            Need(self.pretrained(task, seed), ("model.pt",)),
            Need(compressed, ("model.nnc",)),
        ]
        points = []
        for point in compressed.settings["points"]:
            own_settings = base | {"compressed": point["recipe"]}
            recipe = self._recipe("evaluate", code, own_settings, needs[:-1])
            identity = {key: point[key] for key in ("method", "name")}
            points.append(identity | {"recipe": recipe})
        settings = base | {"points": points}
        return self._add("evaluate", compressed.parts, code, settings, needs)

    def _collect(
        self, references: Sequence[Job], randomised: Sequence[Job], evaluated: Sequence[Job]
    ) -> Job:
        runs = [
            [task["dataset"], task["model"], method, point, seed]
            for task in self.tasks.values()
            for method, points in self.points.items()
            for point in points
            for seed in self.seeds
        ]
        networks = [[*job.parts[:2], job.settings["seed"]] for job in references]
        settings = {"runs": runs, "networks": networks, "randomisation": bool(randomised)}
        settings["config"] = self._effective()
        files = (
            "anchors.csv", "anchors.parquet", "gains.csv", "gains.parquet", "relevance.csv",
            "skipped.csv"
        )  # fmt: skip
        measured = (
            "metrics.json", "attributions.csv", "attributions.parquet", "gains.csv",
            "gains.parquet", "predictions.csv", "layers.csv"
        )  # fmt: skip
        compressed = [job.needs[-1].job for job in evaluated]
        needs = [Need(job, files) for job in references]
        needs += [Need(job, ("randomisation.csv",)) for job in randomised]
        needs += [Need(job, ("run.json",), steady=False) for job in compressed]
        needs += [Need(job, measured) for job in evaluated]
        needs.append(Need(self.check, ("methods.csv",)))
        code = [f"{_SCRIPTS}/collect.py", "workflow/schemas/tables.schema.yaml"]
        return self._add("collect", (), code, settings, needs)

    def _of_tables(self, stage: str, settings: dict[str, Any], more: Sequence[Need]) -> Job:
        """A job that is made of the collected tables."""
        script = stage.partition("_")[2]
        code = [f"{_SCRIPTS}/{script}.py", *settings.pop("code", ())]
        return self._add(stage, (), code, settings, [Need(self.collect), *more])

    def _tables_settings(self) -> dict[str, Any]:
        return {"controls": figure_names.controls(self.points)}

    def _figures_settings(self) -> dict[str, Any]:
        names = figure_names.figure_names(self.config, self.tasks, self.points)
        kinds = sorted({name.partition("-")[0] for name in names})
        texts = [f"workflow/report/{kind}.rst" for kind in kinds]
        return {
            "names": names,
            "explainers": self.config["evaluation"]["explainers"],
            "seed": self.seeds[0],
            "code": texts,
        }

    def _page_settings(self) -> dict[str, Any]:
        page = self.root / "ecqx/page"
        assets = sorted(
            path.relative_to(self.root).as_posix()
            for path in page.rglob("*")
            if path.suffix in (".html", ".css", ".js", ".txt")
        )
        tasks = [[task["dataset"], task["model"]] for task in self.tasks.values()]
        return {"tasks": tasks, "seed": self.seeds[0], "code": assets}

    # -- what jobs share -----------------------------------------------------------------------

    def _effective(self) -> dict[str, Any]:
        """The configuration without what has no part in it, and what is of this machine alone."""
        config = {name: part for name, part in self.config.items() if name not in _OF_THE_MACHINE}
        for name, chosen in (("task_settings", "tasks"), ("grids", "methods")):
            config[name] = {key: config[name][key] for key in config[chosen]}
        return config

    def _shares(self, task: Mapping[str, Any]) -> list[Share]:
        """What the jobs of a task work on: neighbours share what they ask of a network."""
        points = [(method, name) for method, own in self.points.items() for name in own]
        return run_table.chunks(points, task["points_per_job"])

    def _network(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Names of a task, and how an own model is described."""
        own_model = own.described(self.config, "model").get(task["model"])
        return {"dataset": task["dataset"], "model": task["model"], "own_model": own_model}

    def _evaluation(self, names: Sequence[str]) -> dict[str, Any]:
        return {name: self.config["evaluation"][name] for name in names}

    def _dataset_file(self, dataset: str) -> str:
        """The file that prepares a data set, that of its kind for own data."""
        if dataset in self._own_data:
            return f"ecqx/tasks/own_data/{self._own_data[dataset]['kind']}.py"
        return f"ecqx/tasks/datasets/{dataset}.py"

    def _model_file(self, model: str) -> str:
        """The file that builds a model; that of an own model, whatever it imports left out."""
        if model in self._own_models:
            return str(self._own_models[model].source_file() or "ecqx/tasks/own_model.py")
        return f"ecqx/tasks/models/{model}.py"

    def _task_files(self, task: Mapping[str, Any]) -> list[str]:
        return [self._dataset_file(task["dataset"]), self._model_file(task["model"])]

    def _recipe(
        self, stage: str, code: Sequence[str], settings: Mapping[str, Any], needs: Sequence[Need]
    ) -> str:
        upstream = [[need.job.key, need.job.recipe] for need in needs]
        return receipts.fingerprint([stage, sources.code(self.root, *code), settings, upstream])

    def _add(
        self,
        stage: str,
        parts: tuple[str, ...],
        code: Sequence[str],
        settings: dict[str, Any],
        needs: Sequence[Need] = (),
        after: tuple[Job, ...] = (),
    ) -> Job:
        recipe = self._recipe(stage, code, settings, needs)
        job = Job(stage, parts, recipe, settings, tuple(needs), after)
        self._settle(job)
        self.jobs.append(job)
        self._known[job.key] = job
        return job

    def _settle(self, job: Job) -> None:
        """Choose the job's receipt, and find out whether it is done."""
        folder = self.places.results / "receipts" / job.key
        attempt = self.attempts.get(job.key, 0)
        if self._verify:
            found = _attempts(folder, job.recipe)
            attempt = found[0][0] + 1 if found else 0
            for number, path in found:
                made = receipts.read(path)
                if made is None or not self._fits(job, made):
                    continue
                job.made, damaged = made, made.damaged(self.places.results)
                job.done, job.spoilt = not damaged, bool(damaged)
                if job.done:
                    attempt = number
                    break
            if job.spoilt:
                self.damaged += damaged
            if attempt:
                self.attempts[job.key] = attempt
        job.receipt = folder / f"{job.recipe}{f'-{attempt}' if attempt else ''}.json"

    @staticmethod
    def _fits(job: Job, made: receipts.Receipt) -> bool:
        """Whether a receipt is for what the needs of the job have made."""
        return all(
            (need.job.done or need.steady and need.job.spoilt)
            and made.inputs.get(need.job.key) == need.job.made.content(need.files)
            for need in job.needs
        )


def _attempts(folder: Path, recipe: str) -> list[tuple[int, Path]]:
    """Numbers and paths of the receipts for a recipe, the latest first."""
    found = []
    for path in folder.glob(f"{recipe}*.json"):
        if match := _ATTEMPT.fullmatch(path.stem):
            found.append((int(match["attempt"] or 0), path))
    return sorted(found, reverse=True)
