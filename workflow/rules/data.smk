# One data set.
PREPARE_DATA = job_of("prepare_data", "{dataset}")


rule prepare_data:
    input:
        inputs_of(PREPARE_DATA),
    output:
        receipt=receipt("prepare_data", "{dataset}"),
    log:
        f"{LOGS}/prepare_data/{{dataset}}-{{recipe}}.log",
    benchmark:
        f"{BENCHMARKS}/prepare_data/{{dataset}}-{{recipe}}.tsv"
    threads: 1
    params:
        settings=settings_of(PREPARE_DATA),
        recipe=recipe_of(PREPARE_DATA),
        needs=needs_of(PREPARE_DATA),
    script:
        "../scripts/prepare_data.py"
