rule pretrain:
    input:
        data=DATA,
        checkpoint=checkpoint_of,
        library=lambda wildcards: library(
            "workflow/scripts/pretrain.py",
            "ecqx/tasks/runtime.py",
            dataset_file(wildcards.dataset),
            model_file(wildcards.model),
        ),
    output:
        model=f"{PRETRAINED}/model.pt",
        record=f"{PRETRAINED}/run.json",
        history=f"{PRETRAINED}/history.csv",
    log:
        f"{LOG}/pretrain/{{dataset}}/{{model}}/seed~{{seed}}.log",
    benchmark:
        f"{BENCHMARK}/pretrain/{{dataset}}/{{model}}/seed~{{seed}}.tsv"
    threads: 1
    resources:
        gpu=GPU,
    params:
        own_model=own_model_of,
        pretraining=lambda wildcards: settings_of(wildcards).get("pretraining"),
        root=model_root_of,
    script:
        "../scripts/pretrain.py"


# The full-precision network as the reference of all comparisons, the networks that every
# consistency is read between (itself, the one of the next seed, an untrained one), and what its own
# explanations are worth.
rule anchors:
    input:
        data=DATA,
        model=f"{PRETRAINED}/model.pt",
        retrained=retrained_of,
        code="workflow/pipeline/jobs/rows.py",
        library=lambda wildcards: library(
            "workflow/scripts/anchors.py",
            "ecqx/tasks/runtime.py",
            dataset_file(wildcards.dataset),
            model_file(wildcards.model),
        ),
    output:
        reference=f"{PRETRAINED}/reference.npz",
        attributions=f"{PRETRAINED}/anchors.csv",
        relevance=f"{PRETRAINED}/relevance.csv",
        randomisation=f"{PRETRAINED}/randomisation.csv",
        skipped=f"{PRETRAINED}/skipped.csv",
        gallery=f"{PRETRAINED}/gallery.npz",
    log:
        f"{LOG}/anchors/{{dataset}}/{{model}}/seed~{{seed}}.log",
    benchmark:
        f"{BENCHMARK}/anchors/{{dataset}}/{{model}}/seed~{{seed}}.tsv"
    threads: 1
    resources:
        gpu=GPU,
    params:
        own_model=own_model_of,
        evaluation=config["evaluation"],
    script:
        "../scripts/anchors.py"
