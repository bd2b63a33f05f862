# Every figure as PDF and PNG, at page and at column width, in one job: starting up takes longer
# than drawing most of them. What a figure is made of must be known before; one whose files are
# missing, where the tables are all that is at hand, is left out and the log says so.

METRICS = config["evaluation"]["metrics"]

# Where ECQx is run with several sources of relevance, they are compared with each other.
CONTROLS = len({point.get("relevance") for point in POINTS.get("ecqx", {}).values()}) > 1 and all(
    set(point) <= {"bits", "lam", "relevance"} for point in POINTS["ecqx"].values()
)
CONTROLS_TABLES = [f"{RESULTS}/tables/controls.{suffix}" for suffix in ("csv", "md")]

# Parameters that a method has several values of.
SWEPT = [
    parameter
    for parameter in ("lam", "p", "gamma")
    if any(
        len({point[parameter] for point in points.values() if parameter in point}) > 1
        for points in POINTS.values()
    )
]

# Beside the maps of the runs, a gallery is made of the reference and the samples of its task.
GALLERIES = {label: f"{task['dataset']}-{task['model']}" for label, task in TASKS.items()}
GALLERIES_AT_HAND = {GALLERIES[label]: paths for label, paths in SHOWN_MAPS_AT_HAND.items()}
FIGURE_TABLES = {"layers": "layers", "relevance_vs_magnitude": "relevance"}
LEFT_OUT = {
    f"gallery-{name}": f"there are no maps of {name}"
    for name in GALLERIES.values()
    if name not in GALLERIES_AT_HAND
} | {
    name: f"there is no {EXTRA_TABLES[table]}"
    for name, table in FIGURE_TABLES.items()
    if not extra_tables(table)
}

# A kind of figure, or "<kind>-<argument>": see workflow/scripts/figures.py.
FIGURE_NAMES = [
    "accuracy_vs_size",
    "accuracy_vs_sparsity",
    *(f"consistency_vs_size-{metric}" for metric in METRICS),
    *(["localisation_vs_size"] if config["evaluation"]["localisation"] else []),
    *(f"accuracy_vs_consistency-{metric}" for metric in METRICS[:1]),
    *(["metric_correlations"] if METRICS else []),
    *(name for name in FIGURE_TABLES if name not in LEFT_OUT),
    *(f"sensitivity-{parameter}" for parameter in SWEPT),
    "training_cost",
    "ranks",
    *(["controls"] if CONTROLS else []),
    *(f"gallery-{name}" for name in GALLERIES_AT_HAND),
]

CAPTIONS = f"{RESULTS}/figures/captions.md"
FIGURES = [path for name in FIGURE_NAMES for path in figure(name) + figure(f"{name}-column")] + [
    CAPTIONS
]


rule figures:
    input:
        **extra_tables(*FIGURE_TABLES.values()),
        **({"controls": CONTROLS_TABLES[0]} if CONTROLS else {}),
        runs=TABLES[0],
        attributions=TABLES[1],
        references=[paths[0] for paths in GALLERIES_AT_HAND.values()],
        samples=[paths[1] for paths in GALLERIES_AT_HAND.values()],
        maps=[
            path
            for path in run_paths("maps.npz", seeds=[GALLERY_SEED])
            if GALLERIES_AT_HAND and (not FROM_TABLES or Path(path).is_file())
        ],
        texts=sorted({f"workflow/report/{name.partition('-')[0]}.rst" for name in FIGURE_NAMES}),
        library=library("workflow/scripts/figures.py"),
        code="workflow/pipeline/jobs/pictures.py",
    output:
        [path for name in FIGURE_NAMES for path in figure(f"{name}-column")],
        [path for name in FIGURE_NAMES for path in captioned(figure(name), name.partition("-")[0])],
        captions=CAPTIONS,
    log:
        f"{LOG}/figures.log",
    benchmark:
        f"{BENCHMARK}/figures.tsv"
    params:
        names=FIGURE_NAMES,
        left_out=LEFT_OUT,
        galleries=list(GALLERIES_AT_HAND),
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
