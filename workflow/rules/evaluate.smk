# The same shares of points as in compress.smk. What is evaluated is the decoded model.nnc.
EVALUATE = job_of("evaluate", SHARE)


rule evaluate:
    input:
        inputs_of(EVALUATE),
    output:
        receipt=receipt("evaluate", SHARE),
    log:
        f"{LOGS}/evaluate/{SHARE}-{{recipe}}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate/{SHARE}-{{recipe}}.tsv"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=settings_of(EVALUATE),
        recipe=recipe_of(EVALUATE),
        needs=needs_of(EVALUATE),
    script:
        "../scripts/evaluate.py"
