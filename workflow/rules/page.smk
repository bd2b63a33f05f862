# One HTML file to explore the results with. It shows maps of the first seed.


rule make_page:
    input:
        inputs_of(lambda wildcards: PLAN.page),
    output:
        page=str(PLAN.places.page),
        receipt=str(PLAN.page.receipt),
    log:
        f"{LOGS}/make_page.log",
    benchmark:
        f"{BENCHMARKS}/make_page.tsv"
    retries: 0
    localrule: True
    params:
        settings=PLAN.page.settings,
        recipe=PLAN.page.recipe,
        needs=needs_of(lambda wildcards: PLAN.page),
    script:
        "../scripts/page.py"


# The same from whatever tables and maps are there.
rule page:
    log:
        f"{LOGS}/page.log",
    params:
        settings=PLAN.page.settings,
    script:
        "../scripts/page.py"
