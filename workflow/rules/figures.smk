# Every figure as PDF and PNG, made of the collected tables. The gallery shows maps of the first
# seed too; where the tables are all that is at hand, it is left out.

METRICS = config["evaluation"]["metrics"]
LOCALISATION = config["evaluation"]["localisation"]
GALLERY = f"{RESULTS}/figures/gallery-{{dataset}}-{{model}}"

# Where ECQx is run with several sources of relevance, they are compared with each other.
CONTROLS = len({point.get("relevance") for point in POINTS.get("ecqx", {}).values()}) > 1

FIGURES = (
    figure("accuracy_vs_size")
    + figure("accuracy_vs_sparsity")
    + [path for metric in METRICS for path in figure(f"consistency_vs_size-{metric}")]
    + (figure("localisation_vs_size") if LOCALISATION else [])
    + (figure("controls") if CONTROLS else [])
    + [
        path
        for task in TASKS.values()
        if not FROM_TABLES or Path(of_gallery_seed(GALLERY_SAMPLES, task)).is_file()
        for path in figure(f"gallery-{task['dataset']}-{task['model']}")
    ]
)


localrules:
    figures,


rule figures:
    input:
        FIGURES,


rule accuracy_vs_size:
    input:
        runs=TABLES[0],
        library=library("workflow/scripts/accuracy_vs_size.py"),
    output:
        captioned(figure("accuracy_vs_size"), "accuracy_vs_size"),
    log:
        f"{LOG}/figures/accuracy_vs_size.log",
    benchmark:
        f"{BENCHMARK}/figures/accuracy_vs_size.tsv"
    script:
        "../scripts/accuracy_vs_size.py"


rule accuracy_vs_sparsity:
    input:
        runs=TABLES[0],
        library=library("workflow/scripts/accuracy_vs_sparsity.py"),
    output:
        captioned(figure("accuracy_vs_sparsity"), "accuracy_vs_sparsity"),
    log:
        f"{LOG}/figures/accuracy_vs_sparsity.log",
    benchmark:
        f"{BENCHMARK}/figures/accuracy_vs_sparsity.tsv"
    script:
        "../scripts/accuracy_vs_sparsity.py"


rule consistency_vs_size:
    input:
        runs=TABLES[0],
        attributions=TABLES[1],
        library=library("workflow/scripts/consistency_vs_size.py"),
    output:
        [
            path
            for metric in METRICS
            for path in captioned(figure(f"consistency_vs_size-{metric}"), "consistency_vs_size")
        ],
    log:
        f"{LOG}/figures/consistency_vs_size.log",
    benchmark:
        f"{BENCHMARK}/figures/consistency_vs_size.tsv"
    params:
        metrics=METRICS,
    script:
        "../scripts/consistency_vs_size.py"


rule localisation_vs_size:
    input:
        runs=TABLES[0],
        attributions=TABLES[1],
        library=library("workflow/scripts/localisation_vs_size.py"),
    output:
        captioned(figure("localisation_vs_size"), "localisation_vs_size"),
    log:
        f"{LOG}/figures/localisation_vs_size.log",
    benchmark:
        f"{BENCHMARK}/figures/localisation_vs_size.tsv"
    params:
        metrics=LOCALISATION,
    script:
        "../scripts/localisation_vs_size.py"


rule controls:
    input:
        runs=TABLES[0],
        library=library("workflow/scripts/controls.py"),
    output:
        csv=f"{RESULTS}/tables/controls.csv",
        md=report(
            f"{RESULTS}/tables/controls.md",
            caption="../report/controls.rst",
            category="Tables",
        ),
        figure=captioned(figure("controls"), "controls"),
    log:
        f"{LOG}/figures/controls.log",
    benchmark:
        f"{BENCHMARK}/figures/controls.tsv"
    script:
        "../scripts/controls.py"


rule gallery:
    input:
        runs=TABLES[0],
        reference=f"{PRETRAINED}/reference.npz".replace("{seed}", str(GALLERY_SEED)),
        samples=GALLERY_SAMPLES.replace("{seed}", str(GALLERY_SEED)),
        maps=gallery_maps,
        library=library("workflow/scripts/gallery.py"),
    output:
        captioned([f"{GALLERY}.pdf", f"{GALLERY}.png"], "gallery"),
    log:
        f"{LOG}/figures/gallery-{{dataset}}-{{model}}.log",
    benchmark:
        f"{BENCHMARK}/figures/gallery-{{dataset}}-{{model}}.tsv"
    params:
        seed=GALLERY_SEED,
        explainers=config["evaluation"]["explainers"],
    script:
        "../scripts/gallery.py"
