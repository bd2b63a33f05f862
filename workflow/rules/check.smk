# The configuration against the library, before anything else runs: which parameters the methods
# take, and whether data sets and models find their files.


rule check:
    input:
        inputs_of(lambda wildcards: PLAN.check),
    output:
        receipt=str(PLAN.check.receipt),
    log:
        f"{LOGS}/check.log",
    benchmark:
        f"{BENCHMARKS}/check.tsv"
    retries: 0
    localrule: True
    params:
        settings=PLAN.check.settings,
        recipe=PLAN.check.recipe,
        needs=needs_of(lambda wildcards: PLAN.check),
    script:
        "../scripts/check.py"
