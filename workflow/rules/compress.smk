# A job covers a share of the points of all methods on one network, because importing torch costs
# seconds. It computes those of its points that are not there: a new one leaves the others as they are.
COMPRESS = job_of("compress", SHARE)


rule compress:
    input:
        inputs_of(COMPRESS),
    output:
        receipt=receipt("compress", SHARE),
    log:
        f"{LOGS}/compress/{SHARE}-{{recipe}}.log",
    benchmark:
        f"{BENCHMARKS}/compress/{SHARE}-{{recipe}}.tsv"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=settings_of(COMPRESS),
        recipe=recipe_of(COMPRESS),
        needs=needs_of(COMPRESS),
    script:
        "../scripts/compress.py"
