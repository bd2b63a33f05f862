localrules:
    collect,


rule collect:
    input:
        records=run_paths("run.json"),
        metrics=run_paths("metrics.json"),
        rows=run_paths("attributions.csv"),
        anchors=[
            path
            for task in TASKS.values()
            for path in expand(fill(f"{PRETRAINED}/anchors.csv", task), seed=SEEDS)
        ],
        schema="workflow/schemas/tables.schema.yaml",
    output:
        runs=report(TABLES[0], caption="../report/runs.rst", category="Tables"),
        attributions=report(TABLES[1], caption="../report/attributions.rst", category="Tables"),
    log:
        f"{LOG}/collect.log",
    benchmark:
        f"{BENCHMARK}/collect.tsv"
    script:
        "../scripts/collect.py"
