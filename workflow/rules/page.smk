# One HTML file to explore the results with. It shows maps of the first seed; where the tables are
# all that is at hand, those that are there.

PAGE = f"{RESULTS}/page.html"


def at_hand(*paths):
    """Whether files can be asked for: all of them, unless nothing but tables is to be looked at."""
    return not FROM_TABLES or all(Path(path).is_file() for path in paths)


def page_maps(task):
    """The reference and the samples of a task's maps."""
    patterns = f"{PRETRAINED}/reference.npz", GALLERY_SAMPLES
    return [of_gallery_seed(pattern, task) for pattern in patterns]


PAGE_TASKS = {label: task for label, task in TASKS.items() if at_hand(*page_maps(task))}
PAGE_ASSETS = [
    os.path.relpath(path)
    for path in sorted((ROOT / "ecqx/results/page").rglob("*"))
    if path.suffix in (".html", ".css", ".js", ".txt")
]


localrules:
    page,


rule page:
    input:
        runs=TABLES[0],
        attributions=TABLES[1],
        references=[page_maps(task)[0] for task in PAGE_TASKS.values()],
        samples=[page_maps(task)[1] for task in PAGE_TASKS.values()],
        maps=[
            path
            for path in run_paths("maps.npz", seeds=[GALLERY_SEED], tasks=PAGE_TASKS)
            if at_hand(path)
        ],
        library=library("workflow/scripts/page.py"),
        assets=PAGE_ASSETS,
    output:
        PAGE,
    log:
        f"{LOG}/page.log",
    benchmark:
        f"{BENCHMARK}/page.tsv"
    params:
        seed=GALLERY_SEED,
        tasks=[{"dataset": task["dataset"], "model": task["model"]} for task in PAGE_TASKS.values()],
    script:
        "../scripts/page.py"
