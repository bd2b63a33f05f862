rule prepare_data:
    input:
        library=lambda wildcards: library(
            "workflow/scripts/prepare_data.py", dataset_file(wildcards.dataset)
        ),
    output:
        data=DATA,
        checksum=CHECKSUM,
    log:
        f"{LOG}/prepare_data/{{dataset}}.log",
    benchmark:
        f"{BENCHMARK}/prepare_data/{{dataset}}.tsv"
    threads: 1
    params:
        root=root_of,
        own=lambda wildcards: OWN_DATA.get(wildcards.dataset),
        own_files=own_files_of,
    script:
        "../scripts/prepare_data.py"
