# Every figure as PDF and PNG, at page and at column width, in one job: starting up takes longer
# than most of them. What a figure is made of must be known before; one whose files are missing,
# where the tables are all that is at hand, is left out and the log says so.

METRICS = config["evaluation"]["metrics"]


def swept(parameter):
    """Whether a method has operating points with several values of a parameter."""
    return any(
        len({point[parameter] for point in points.values() if parameter in point}) > 1
        for points in POINTS.values()
    )


def gallery_of(task):
    """What the gallery of a task is made of, beside the maps of the runs."""
    patterns = f"{PRETRAINED}/reference.npz", GALLERY_SAMPLES
    return [of_gallery_seed(pattern, task) for pattern in patterns]


def task_name(task):
    return f"{task['dataset']}-{task['model']}"


# Where ECQx is run with several sources of relevance, they are compared with each other.
CONTROLS = len({point.get("relevance") for point in POINTS.get("ecqx", {}).values()}) > 1
CONTROLS_TABLES = [f"{RESULTS}/tables/controls.{suffix}" for suffix in ("csv", "md")]

GALLERY_TASKS = {
    label: task
    for label, task in TASKS.items()
    if not FROM_TABLES or all(Path(path).is_file() for path in gallery_of(task))
}
FIGURE_TABLES = {"layers": "layers", "relevance_vs_magnitude": "relevance"}
LEFT_OUT = {
    f"gallery-{task_name(task)}": f"there are no maps of {task_name(task)}"
    for label, task in TASKS.items()
    if label not in GALLERY_TASKS
} | {
    name: f"there is no {EXTRA_TABLES[table]}"
    for name, table in FIGURE_TABLES.items()
    if not extra_tables(table)
}

FIGURE_NAMES = [
    "accuracy_vs_size",
    "accuracy_vs_sparsity",
    *(f"consistency_vs_size-{metric}" for metric in METRICS),
    *(["localisation_vs_size"] if config["evaluation"]["localisation"] else []),
    *(f"accuracy_vs_consistency-{metric}" for metric in METRICS[:1]),
    *(["metric_correlations"] if METRICS else []),
    *(name for name in FIGURE_TABLES if name not in LEFT_OUT),
    *(f"sensitivity-{parameter}" for parameter in ("lam", "p") if swept(parameter)),
    "training_cost",
    "ranks",
    *(["controls"] if CONTROLS else []),
    *(f"gallery-{task_name(task)}" for task in GALLERY_TASKS.values()),
]

FIGURES = [path for name in FIGURE_NAMES for path in figure(name) + figure(f"{name}-column")] + [
    f"{RESULTS}/figures/captions.md"
]


rule figures:
    input:
        **extra_tables(*FIGURE_TABLES.values()),
        **({"controls": CONTROLS_TABLES[0]} if CONTROLS else {}),
        runs=TABLES[0],
        attributions=TABLES[1],
        references=[gallery_of(task)[0] for task in GALLERY_TASKS.values()],
        samples=[gallery_of(task)[1] for task in GALLERY_TASKS.values()],
        maps=[
            path
            for path in run_paths("maps.npz", seeds=[GALLERY_SEED], tasks=GALLERY_TASKS)
            if not FROM_TABLES or Path(path).is_file()
        ],
        captions=sorted({f"workflow/report/{name.partition('-')[0]}.rst" for name in FIGURE_NAMES}),
        library=library("workflow/scripts/figures.py"),
    output:
        [path for name in FIGURE_NAMES for path in figure(f"{name}-column")],
        [path for name in FIGURE_NAMES for path in captioned(figure(name), name.partition("-")[0])],
        FIGURES[-1],
    log:
        f"{LOG}/figures.log",
    benchmark:
        f"{BENCHMARK}/figures.tsv"
    params:
        folder=f"{RESULTS}/figures",
        names=FIGURE_NAMES,
        left_out=LEFT_OUT,
        galleries=[task_name(task) for task in GALLERY_TASKS.values()],
        explainers=config["evaluation"]["explainers"],
        seed=GALLERY_SEED,
    script:
        "../scripts/figures.py"


rule controls:
    input:
        runs=TABLES[0],
        library=library("workflow/scripts/controls.py"),
    output:
        csv=CONTROLS_TABLES[0],
        md=report(
            CONTROLS_TABLES[1],
            caption="../report/controls_table.rst",
            category="Tables",
        ),
    log:
        f"{LOG}/controls.log",
    benchmark:
        f"{BENCHMARK}/controls.tsv"
    script:
        "../scripts/controls.py"
