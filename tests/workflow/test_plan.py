"""What a configuration plans, seen in dry runs: nothing is executed."""

from collections import Counter

import yaml
from pipeline.planning import run_table

from tests.workflow.conftest import ROOT, job_counts

DEFAULT = yaml.safe_load((ROOT / "config/default.yaml").read_text())


def by_stage(jobs):
    """Job counts by stage: the rules of one stage differ in task, method and share of points."""
    stages = Counter()
    for rule, count in jobs.items():
        stages[rule.partition("-")[0]] += count
    return stages


def test_default_configuration(checkout):
    done = checkout.snakemake("--dry-run")
    assert done.returncode == 0, done.stdout
    seeds, tasks = len(DEFAULT["seeds"]), DEFAULT["tasks"]
    jobs_per_seed = sum(
        len(
            run_table.chunks(
                list(run_table.expand_grid(DEFAULT["grids"][method])),
                DEFAULT["task_settings"][task]["points_per_job"],
            )
        )
        for task in tasks
        for method in DEFAULT["methods"]
    )
    assert by_stage(job_counts(done.stdout)) == {
        "prepare_data": len(tasks),
        "pretrain": len(tasks) * (seeds + 1),  # the next seed's network is an anchor
        "anchors": len(tasks) * seeds,
        "compress": jobs_per_seed * seeds,
        "evaluate": jobs_per_seed * seeds,
        "collect": 1,
        "tables": 1,
        "figures": 1,
        "page": 1,
        "all": 1,
    }


def test_default_grids_are_wide_enough():
    points = {name: run_table.expand_grid(grid) for name, grid in DEFAULT["grids"].items()}
    for method in ("ecq", "ecqx"):
        assert len(points[method]) >= 5
        assert {point["bits"] for point in points[method].values()} == {2, 4}
    for method in ("uniform", "uniform_ptq"):
        assert [point["bits"] for point in points[method].values()] == [2, 3, 4, 5]
    assert len(points["wcam"]) >= 4
    assert len(DEFAULT["seeds"]) >= 3


def test_points_are_shared_out_to_jobs(checkout):
    checkout.write("few.yaml", "task_settings: {digits: {points_per_job: 2}}\n")
    done = checkout.snakemake("--dry-run", "--configfile", "config/smoke.yaml", "few.yaml")
    jobs = job_counts(done.stdout)
    assert jobs["compress-digits-residual_cnn-ecq-0"] == 2
    assert jobs["compress-digits-residual_cnn-ecq-1"] == 2
    assert "compress-digits-residual_cnn-ecq-2" not in jobs


def test_figures_from_copied_tables_plan_no_training(checkout):
    tables = checkout.folder / "results/tables"
    tables.mkdir(parents=True)
    for name in ("runs.csv", "attributions.csv"):
        (tables / name).write_text("dataset\n")
    jobs = job_counts(checkout.snakemake("figures", "tables", "page", "--dry-run").stdout)
    assert jobs == {"figures": 1, "tables": 1, "page": 1}


def test_figures_without_tables_plan_everything(checkout):
    jobs = job_counts(checkout.snakemake("figures", "--dry-run").stdout)
    assert by_stage(jobs)["compress"] > 0 and jobs["collect"] == 1


def test_lint(checkout):
    # environment.yml describes one environment for all rules, hence no conda directive in each
    lints = [
        line.strip()
        for line in checkout.snakemake("--lint").stdout.splitlines()
        if line.startswith("    * ") and "Specify a conda environment" not in line
    ]
    assert lints == []
