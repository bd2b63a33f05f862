# What all stages share: the validated configuration, the run table, paths, and the environment of
# the jobs. Nothing here imports torch.

import os
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path[:0] = [str(ROOT), str(ROOT / "workflow")]

from ecqx.tasks.locating import locate
from ecqx.tasks.own_model import OwnModel
from pipeline import checksum, gpus, own
from pipeline.planning import command_line, data_files, environment, run_table
from pipeline.planning import sources, stale_lock, validation

environment.prepare(ROOT)

if problems := validation.problems(config, ROOT):
    sys.exit("\n".join(problems))

CALL = command_line.read()
RESULTS = Path(config["results_dir"])
TABLES = [f"{RESULTS}/tables/{name}.csv" for name in ("runs", "attributions")]
EXTRA_TABLES = {
    name: f"{RESULTS}/tables/{name}.csv"
    for name in ("predictions", "layers", "relevance", "randomisation", "skipped")
}

# Tables and figures are made of the collected results: as long as the first two exist, nothing
# upstream is even looked at. The extra ones then serve where they are at hand.
FROM_TABLES = (
    bool(CALL.targets)
    and set(CALL.targets) <= {"tables", "figures", "page"}
    and all(Path(path).is_file() for path in TABLES)
)

if workflow.is_main_process:
    if not FROM_TABLES and (problems := validation.library_problems(config, ROOT)):
        sys.exit("\n".join(problems))
    if not CALL.dry_run:
        # held until the process ends; None while another one works in this folder
        CLAIM = stale_lock.clear(Path(".snakemake"))

TASKS = own.tasks(config)
OWN_DATA = own.described(config, "dataset")
OWN_MODELS = {name: OwnModel(**entry) for name, entry in own.described(config, "model").items()}
SEEDS = config["seeds"]
POINTS = {name: run_table.expand_grid(config["grids"][name]) for name in config["methods"]}

DATA = f"{RESULTS}/data/{{dataset}}/data.pt"
CHECKSUM = f"{DATA}{checksum.SUFFIX}"
PRETRAINED = f"{RESULTS}/pretrained/{{dataset}}/{{model}}/seed~{{seed}}"
RUN = f"{RESULTS}/runs/{{dataset}}/{{model}}/{{method}}/{{point}}/seed~{{seed}}"
GALLERY_SEED = SEEDS[0]
GALLERY_SAMPLES = f"{PRETRAINED}/gallery.npz"
JOB = "{dataset}/{model}/{method}/seed~{seed}_{k}"
LOG = f"{RESULTS}/logs"
BENCHMARK = f"{RESULTS}/benchmarks"

# Prepared data that were cut off or damaged are prepared again.
if workflow.is_main_process and not FROM_TABLES and not CALL.dry_run and CLAIM is not None:
    for path in {Path(DATA.format(dataset=task["dataset"])) for task in TASKS.values()}:
        if path.is_file() and not checksum.intact(path):
            print(f"{path}: differs from its checksum, is prepared again", file=sys.stderr)
            path.unlink()

# The resource `gpu` says how many jobs can compute on GPUs at a time. Without any, jobs do not ask
# for it, and there is no limit but that of cores. The GPUs of this machine count where jobs run.
if (
    config["jobs_per_gpu"]
    and workflow.is_main_process
    and not FROM_TABLES
    and "gpu" not in workflow.global_resources
    and gpus.count()
    and gpus.jobs_are_here()
):
    workflow.register_resource("gpu", gpus.count() * config["jobs_per_gpu"])
GPU_JOBS = workflow.global_resources.get("gpu")

# A job of a cluster reads this file again and is not told the resources that it was given.
if workflow.is_main_process:
    gpus.tell_jobs(bool(config["jobs_per_gpu"] and GPU_JOBS and GPU_JOBS.value))
    workflow.register_envvars(gpus.TOLD)
GPU = gpus.told()


wildcard_constraints:
    seed=r"\d+",
    dataset=r"[A-Za-z_]\w*",
    model=r"[A-Za-z_]\w*",


def library(*files):
    """Files of the library that the given files need: inputs, so that edits plan again.

    Snakemake compares checksums, a new time stamp alone plans nothing.
    """
    own_models = [file for file in files if Path(file).is_absolute()]
    found = [os.path.relpath(ROOT / path) for path in sources.reached(ROOT, *files)]
    return list(dict.fromkeys(found + own_models))


def dataset_file(dataset):
    """The file that prepares a data set, that of its kind for own data."""
    if dataset in OWN_DATA:
        return f"ecqx/tasks/own_data/{OWN_DATA[dataset]['kind']}.py"
    return f"ecqx/tasks/datasets/{dataset}.py"


def model_file(model):
    """The file that builds a model; absolute for an own model, whatever it imports left out."""
    if model in OWN_MODELS:
        return str(OWN_MODELS[model].source_file() or "ecqx/tasks/own_model.py")
    return f"ecqx/tasks/models/{model}.py"


def root_of(wildcards):
    """The folder that a data set is read from, as text; empty for one that is not read from disk.

    Only what a data set needs: another folder plans nothing again for the others.
    """
    name = wildcards.dataset
    reads = name in OWN_DATA or data_files.reads_disk(ROOT / dataset_file(name))
    return str(data_files.data_root(config) or "") if reads else ""


def own_files_of(wildcards):
    """What own data are read from: changes when a file does. Empty for other data sets."""
    if wildcards.dataset not in OWN_DATA:
        return ""
    path = locate(OWN_DATA[wildcards.dataset]["path"], data_files.data_root(config))
    return data_files.fingerprint(path)


def model_root_of(wildcards):
    """The same for the weights that a model's training starts from."""
    name = wildcards.model
    reads = name not in OWN_MODELS and data_files.reads_disk(ROOT / model_file(name))
    return str(data_files.data_root(config) or "") if reads else ""


def retrained_of(wildcards):
    """The network of the next seed; nothing where all seeds are given the same weights."""
    if checkpoint_of(wildcards):
        return []
    seed = run_table.retrained_seed(int(wildcards.seed))
    return f"{PRETRAINED}/model.pt".format(**(dict(wildcards) | {"seed": seed}))


def checkpoint_of(wildcards):
    """The trained weights of an own model; nothing for a model that is trained here."""
    model = OWN_MODELS.get(wildcards.model)
    if model is None or model.checkpoint is None:
        return []
    return str(locate(model.checkpoint, data_files.data_root(config)))


def settings_of(wildcards):
    """The settings of the task that a path's data set and model stand for."""
    pair = (wildcards.dataset, wildcards.model)
    return next(task for task in TASKS.values() if (task["dataset"], task["model"]) == pair)


def job_name(stage, task, method, k):
    # names hold no hyphen: no two jobs share a name, whatever their parts are called
    return "-".join([stage, task["dataset"], task["model"], method, str(k)])


def fill(pattern, task, method=None, share=None, k=None):
    """A path pattern with all but {seed} filled in; a list of paths if a share of points is given."""
    known = {"dataset": task["dataset"], "model": task["model"], "seed": "{seed}"}
    if share is None:
        return pattern.format(**known, method=method, k=k)
    return [pattern.format(**known, method=method, point=point) for point in share]


def run_paths(name, seeds=SEEDS, tasks=TASKS):
    """The file `name` of every run, in the order of the run table."""
    return [
        path.format(seed=seed)
        for task in tasks.values()
        for method, points in POINTS.items()
        for path in fill(f"{RUN}/{name}", task, method, points)
        for seed in seeds
    ]


def pretrained_paths(name):
    """The file `name` of every full-precision network that is compressed."""
    return [
        path
        for task in TASKS.values()
        for path in expand(fill(f"{PRETRAINED}/{name}", task), seed=SEEDS)
    ]


def extra_tables(*names):
    """Those of the named extra tables that a rule can have as inputs, by name."""
    return {
        name: EXTRA_TABLES[name]
        for name in names
        if not FROM_TABLES or Path(EXTRA_TABLES[name]).is_file()
    }


def figure(name):
    return [f"{RESULTS}/figures/{name}.{suffix}" for suffix in ("pdf", "png")]


def captioned(paths, caption):
    """The same files, the PNG among them with its caption in Snakemake's report."""
    pdf, png = paths
    return [pdf, report(png, caption=f"../report/{caption}.rst", category="Figures")]


def of_gallery_seed(pattern, task):
    return fill(pattern, task).format(seed=GALLERY_SEED)


def at_hand(*paths):
    """Whether files can be asked for: all of them, unless nothing but tables is to be looked at."""
    return not FROM_TABLES or all(Path(path).is_file() for path in paths)


def own_model_of(wildcards):
    """How a model without a file is described; None for one that has a file."""
    return own.described(config, "model").get(wildcards.model)


# Per label of a task, the reference and the samples of the maps that galleries and the page show.
SHOWN_MAPS = {
    label: [
        of_gallery_seed(pattern, task)
        for pattern in (f"{PRETRAINED}/reference.npz", GALLERY_SAMPLES)
    ]
    for label, task in TASKS.items()
}
SHOWN_MAPS_AT_HAND = {label: paths for label, paths in SHOWN_MAPS.items() if at_hand(*paths)}
