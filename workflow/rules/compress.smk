# One rule per task, method and job's share of the points, {seed} being the wildcard: a job covers
# several points because importing torch costs seconds. A point is known by its path, not by its
# place among the points, so that a new one leaves the others' results valid.

for task in TASKS.values():
    for method, points in POINTS.items():
        for k, share in enumerate(run_table.chunks(list(points), task["points_per_job"])):

            rule:
                name:
                    job_name("compress", task, method, k)
                input:
                    data=fill(DATA, task),
                    model=fill(f"{PRETRAINED}/model.pt", task),
                    method=f"baselines/{method}.py",
                    library=library(
                        "workflow/scripts/compress.py",
                        "ecqx/tasks/runtime.py",
                        f"baselines/{method}.py",
                        dataset_file(task["dataset"]),
                        model_file(task["model"]),
                    ),
                output:
                    artefact=fill(f"{RUN}/model.nnc", task, method, share),
                    record=fill(f"{RUN}/run.json", task, method, share),
                    history=fill(f"{RUN}/history.csv", task, method, share),
                log:
                    fill(f"{LOG}/compress/{JOB}.log", task, method, k=k),
                benchmark:
                    fill(f"{BENCHMARK}/compress/{JOB}.tsv", task, method, k=k)
                threads: 1
                resources:
                    gpu=GPU,
                params:
                    own_model=own.described(config, "model").get(task["model"]),
                    dataset=task["dataset"],
                    model=task["model"],
                    budget=task["budget"],
                script:
                    "../scripts/compress.py"
