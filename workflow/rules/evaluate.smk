# The same shares of points as in compress.smk. What is evaluated is the decoded model.nnc.

for task in TASKS.values():
    for method, points in POINTS.items():
        for k, share in enumerate(run_table.chunks(list(points), task["points_per_job"])):

            rule:
                name:
                    job_name("evaluate", task, method, k)
                input:
                    data=fill(DATA, task),
                    reference=fill(f"{PRETRAINED}/reference.npz", task),
                    code="workflow/pipeline/jobs/rows.py",
                    artefact=fill(f"{RUN}/model.nnc", task, method, share),
                    record=fill(f"{RUN}/run.json", task, method, share),
                    library=library(
                        "workflow/scripts/evaluate.py",
                        "ecqx/tasks/runtime.py",
                        dataset_file(task["dataset"]),
                        model_file(task["model"]),
                    ),
                output:
                    metrics=fill(f"{RUN}/metrics.json", task, method, share),
                    attributions=fill(f"{RUN}/attributions.csv", task, method, share),
                    predictions=fill(f"{RUN}/predictions.csv", task, method, share),
                    layers=fill(f"{RUN}/layers.csv", task, method, share),
                    maps=fill(f"{RUN}/maps.npz", task, method, share),
                log:
                    fill(f"{LOG}/evaluate/{JOB}.log", task, method, k=k),
                benchmark:
                    fill(f"{BENCHMARK}/evaluate/{JOB}.tsv", task, method, k=k)
                threads: 1
                resources:
                    gpu=GPU,
                params:
                    own_model=own.described(config, "model").get(task["model"]),
                    evaluation={
                        key: value
                        for key, value in config["evaluation"].items()
                        if key != "randomisation"
                    },
                script:
                    "../scripts/evaluate.py"
