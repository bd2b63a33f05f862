# All tables in one process, made of the collected results; see ecqx/results/tables/. One without
# anything to show (no masks, no method with matching ...) is written all the same and says so.

TABLE_NAMES = (
    "summary",
    "smallest",
    "operating_points",
    "equal_size",
    "equal_accuracy",
    "comparisons",
    "hypervolume",
    "costs",
    "matching",
    "closeness",
    "metric_agreement",
    "agreement",
    "sanity",
    "published",
)

SUMMARY = [
    f"{RESULTS}/tables/{name}.{suffix}" for name in TABLE_NAMES for suffix in ("csv", "md", "tex")
]


localrules:
    tables,


rule tables:
    input:
        **extra_tables("predictions", "randomisation"),
        runs=TABLES[0],
        attributions=TABLES[1],
        library=library("workflow/scripts/tables.py"),
    output:
        [path for path in SUMMARY if not path.endswith(".md")],
        [
            report(
                f"{RESULTS}/tables/{name}.md",
                caption=f"../report/{name}.rst",
                category="Tables",
            )
            for name in TABLE_NAMES
        ],
    log:
        f"{LOG}/tables.log",
    benchmark:
        f"{BENCHMARK}/tables.tsv"
    script:
        "../scripts/tables.py"
