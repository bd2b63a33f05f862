# Every run as a row.


rule collect:
    input:
        inputs_of(lambda wildcards: PLAN.collect),
    output:
        runs=captioned(str(PLAN.places.table("runs")), "runs", "Tables"),
        attributions=captioned(str(PLAN.places.table("attributions")), "attributions", "Tables"),
        receipt=str(PLAN.collect.receipt),
    log:
        f"{LOGS}/collect.log",
    benchmark:
        f"{BENCHMARKS}/collect.tsv"
    retries: 0
    localrule: True
    params:
        settings=PLAN.collect.settings,
        recipe=PLAN.collect.recipe,
        needs=needs_of(lambda wildcards: PLAN.collect),
    script:
        "../scripts/collect.py"
