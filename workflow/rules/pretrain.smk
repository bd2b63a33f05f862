# The full-precision network of one task and seed.
PRETRAIN = job_of("pretrain", NETWORK)


rule pretrain:
    input:
        inputs_of(PRETRAIN),
    output:
        receipt=receipt("pretrain", NETWORK),
    log:
        f"{LOGS}/pretrain/{NETWORK}-{{recipe}}.log",
    benchmark:
        f"{BENCHMARKS}/pretrain/{NETWORK}-{{recipe}}.tsv"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=settings_of(PRETRAIN),
        recipe=recipe_of(PRETRAIN),
        needs=needs_of(PRETRAIN),
    script:
        "../scripts/pretrain.py"


# That network as the reference of all comparisons, the networks that every consistency is read
# between (itself, one of a seed of its own, an untrained one), and the relevance of its weights.
REFERENCE = job_of("reference", NETWORK)


rule reference:
    input:
        inputs_of(REFERENCE),
    output:
        receipt=receipt("reference", NETWORK),
    log:
        f"{LOGS}/reference/{NETWORK}-{{recipe}}.log",
    benchmark:
        f"{BENCHMARKS}/reference/{NETWORK}-{{recipe}}.tsv"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=settings_of(REFERENCE),
        recipe=recipe_of(REFERENCE),
        needs=needs_of(REFERENCE),
    script:
        "../scripts/reference.py"


# Whether explainers notice that its layers were randomised: a job of its own, so that asking for it
# leaves everything else as it is.
RANDOMISATION = job_of("randomisation", NETWORK)


rule randomisation:
    input:
        inputs_of(RANDOMISATION),
    output:
        receipt=receipt("randomisation", NETWORK),
    log:
        f"{LOGS}/randomisation/{NETWORK}-{{recipe}}.log",
    benchmark:
        f"{BENCHMARKS}/randomisation/{NETWORK}-{{recipe}}.tsv"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=settings_of(RANDOMISATION),
        recipe=recipe_of(RANDOMISATION),
        needs=needs_of(RANDOMISATION),
    script:
        "../scripts/randomisation.py"
