# One HTML file to explore the results with. It shows maps of the first seed; where the tables are
# all that is at hand, those that are there.

PAGE = f"{RESULTS}/page.html"
PAGE_TASKS = {label: TASKS[label] for label in SHOWN_MAPS_AT_HAND}
PAGE_ASSETS = [
    os.path.relpath(path)
    for path in sorted((ROOT / "ecqx/page").rglob("*"))
    if path.suffix in (".html", ".css", ".js", ".txt")
]


localrules:
    page,


rule page:
    input:
        runs=TABLES[0],
        attributions=TABLES[1],
        references=[paths[0] for paths in SHOWN_MAPS_AT_HAND.values()],
        samples=[paths[1] for paths in SHOWN_MAPS_AT_HAND.values()],
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
