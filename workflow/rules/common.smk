# What all stages share: the validated configuration, the run table, paths, and the environment of
# the jobs. Nothing here imports torch.

import os
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT))

from workflow import command_line, data_files, environment, run_table
from workflow import sources, stale_lock, validation

environment.prepare(ROOT)

if problems := validation.problems(config, ROOT):
    sys.exit("\n".join(problems))

CALL = command_line.read()
RESULTS = Path(config["results_dir"])
TABLES = [f"{RESULTS}/tables/{name}.csv" for name in ("runs", "attributions")]

# Tables and figures are made of the collected results: as long as these exist, nothing upstream
# is even looked at.
FROM_TABLES = (
    bool(CALL.targets)
    and set(CALL.targets) <= {"tables", "figures"}
    and all(Path(path).is_file() for path in TABLES)
)

if workflow.is_main_process:
    if not FROM_TABLES and (problems := validation.library_problems(config, ROOT)):
        sys.exit("\n".join(problems))
    if not CALL.dry_run:
        CLAIM = stale_lock.clear(Path(".snakemake"))  # held until the process ends

TASKS = {label: config["task_settings"][label] for label in config["tasks"]}
SEEDS = config["seeds"]
POINTS = {name: run_table.expand_grid(config["grids"][name]) for name in config["methods"]}

DATA = f"{RESULTS}/data/{{dataset}}/data.pt"
PRETRAINED = f"{RESULTS}/pretrained/{{dataset}}/{{model}}/seed~{{seed}}"
RUN = f"{RESULTS}/runs/{{dataset}}/{{model}}/{{method}}/{{point}}/seed~{{seed}}"
GALLERY_SEED = SEEDS[0]
GALLERY_SAMPLES = f"{PRETRAINED}/gallery.npz"
JOB = "{dataset}/{model}/{method}/seed~{seed}_{k}"
LOG = f"{RESULTS}/logs"
BENCHMARK = f"{RESULTS}/benchmarks"


wildcard_constraints:
    seed=r"\d+",
    dataset=r"[A-Za-z_]\w*",
    model=r"[A-Za-z_]\w*",


def library(*files):
    """Files of the library that the given files need: inputs, so that edits plan again.

    Snakemake compares checksums, a new time stamp alone plans nothing.
    """
    return [os.path.relpath(ROOT / path) for path in sources.reached(ROOT, *files)]


def dataset_file(dataset):
    return f"ecqx/tasks/datasets/{dataset}.py"


def model_file(model):
    return f"ecqx/tasks/models/{model}.py"


def root_of(wildcards):
    """The folder that a data set is read from, as text; empty for one that is not read from disk.

    Only what a data set needs: another folder plans nothing again for the others.
    """
    reads = data_files.reads_disk(ROOT / dataset_file(wildcards.dataset))
    return str(data_files.data_root(config) or "") if reads else ""


def settings_of(wildcards):
    """The settings of the task that a path's data set and model stand for."""
    pair = (wildcards.dataset, wildcards.model)
    return next(task for task in TASKS.values() if (task["dataset"], task["model"]) == pair)


def job_name(stage, task, method, k):
    return "_".join([stage, task["dataset"], task["model"], method, str(k)])


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


def figure(name):
    return [f"{RESULTS}/figures/{name}.{suffix}" for suffix in ("pdf", "png")]


def captioned(paths, caption):
    """The same files, the PNG among them with its caption in Snakemake's report."""
    pdf, png = paths
    return [pdf, report(png, caption=f"../report/{caption}.rst", category="Figures")]


def of_gallery_seed(pattern, task):
    return fill(pattern, task).format(seed=GALLERY_SEED)


def gallery_maps(wildcards):
    """Maps of all runs of the gallery's seed, of those at hand if tables are all that is asked."""
    tasks = {label: task for label, task in TASKS.items() if task == settings_of(wildcards)}
    paths = run_paths("maps.npz", seeds=[GALLERY_SEED], tasks=tasks)
    return [path for path in paths if not FROM_TABLES or Path(path).is_file()]
