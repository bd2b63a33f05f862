rule pretrain:
    input:
        data=DATA,
        library=lambda wildcards: library(
            "workflow/scripts/pretrain.py",
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
    params:
        pretraining=lambda wildcards: settings_of(wildcards)["pretraining"],
    script:
        "../scripts/pretrain.py"


# The full-precision network as the reference of all comparisons, and the networks that every
# consistency is read between: itself, the one of the next seed, an untrained one.
rule anchors:
    input:
        data=DATA,
        model=f"{PRETRAINED}/model.pt",
        retrained=lambda wildcards: f"{PRETRAINED}/model.pt".format(
            **(dict(wildcards) | {"seed": run_table.retrained_seed(int(wildcards.seed))})
        ),
        library=lambda wildcards: library(
            "workflow/scripts/anchors.py", model_file(wildcards.model)
        ),
    output:
        reference=f"{PRETRAINED}/reference.npz",
        rows=f"{PRETRAINED}/anchors.csv",
        gallery=f"{PRETRAINED}/gallery.npz",
    log:
        f"{LOG}/anchors/{{dataset}}/{{model}}/seed~{{seed}}.log",
    benchmark:
        f"{BENCHMARK}/anchors/{{dataset}}/{{model}}/seed~{{seed}}.tsv"
    threads: 1
    params:
        evaluation=config["evaluation"],
    script:
        "../scripts/anchors.py"
