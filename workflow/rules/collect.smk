localrules:
    collect,


rule collect:
    input:
        records=run_paths("run.json"),
        metrics=run_paths("metrics.json"),
        attributions=pretrained_paths("anchors.csv") + run_paths("attributions.csv"),
        predictions=run_paths("predictions.csv"),
        layers=run_paths("layers.csv"),
        relevance=pretrained_paths("relevance.csv"),
        randomisation=pretrained_paths("randomisation.csv"),
        skipped=pretrained_paths("skipped.csv"),
        schema="workflow/schemas/tables.schema.yaml",
        code=["workflow/pipeline/jobs/rows.py", "workflow/pipeline/jobs/table_checks.py"],
    output:
        **EXTRA_TABLES,
        runs=report(TABLES[0], caption="../report/runs.rst", category="Tables"),
        attributions=report(TABLES[1], caption="../report/attributions.rst", category="Tables"),
    log:
        f"{LOG}/collect.log",
    benchmark:
        f"{BENCHMARK}/collect.tsv"
    script:
        "../scripts/collect.py"
