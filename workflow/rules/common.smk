# What all stages share: the validated configuration, the plan, and the environment of the jobs.
# Nothing here imports torch, starts a job, or writes.

import os
import sys
from pathlib import Path

ROOT = Path(workflow.current_basedir).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "workflow")]

from ecqx.results import keys
from pipeline import claim, ending, gpus
from pipeline.planning import command_line, config_files, environment, figure_names, validation
from pipeline.planning.plan import Plan

environment.prepare(ROOT)

if workflow.is_main_process and (problems := config_files.problems(workflow.configfiles)):
    sys.exit("\n".join(problems))
if problems := validation.problems(config, ROOT):
    sys.exit("\n".join(problems))
config["results_dir"] = os.path.expanduser(config["results_dir"])

if (
    workflow.is_main_process
    and command_line.executes()
    and (problem := claim.claim(Path(config["results_dir"])))
):
    sys.exit(problem)

# A job on a cluster reads this file again: it is told what the process that planned it has seen.
PLAN = Plan(config, ROOT, None if workflow.is_main_process else environment.told_attempts())
RESULTS = PLAN.places.results
RECEIPTS = RESULTS / "receipts"
LOGS = RESULTS / "logs"
BENCHMARKS = RESULTS / "benchmarks"

# The resource `gpu` says how many jobs can compute on GPUs at a time. Without any, jobs do not ask
# for it, and there is no limit but that of cores. The GPUs of this machine count where jobs run.
if workflow.is_main_process:
    for path in PLAN.damaged:
        print(
            f"{RESULTS / path}: missing, or not what was written; it is made again", file=sys.stderr
        )
    environment.tell_attempts(PLAN.attempts)
    if (
        config["jobs_per_gpu"]
        and "gpu" not in workflow.global_resources
        and gpus.count()
        and gpus.jobs_are_here()
    ):
        workflow.register_resource("gpu", gpus.count() * config["jobs_per_gpu"])
GPU_JOBS = workflow.global_resources.get("gpu")
if workflow.is_main_process:
    gpus.tell_jobs(bool(config["jobs_per_gpu"] and GPU_JOBS and GPU_JOBS.value))
    if gpus.told() and (problem := gpus.lacking()):
        sys.exit(problem)
GPU = gpus.told()


onstart:
    ending.end_all_on_signals()


envvars:
    gpus.TOLD,
    environment.ATTEMPTS,


wildcard_constraints:
    seed=r"\d+",
    k=r"\d+",
    dataset=r"[A-Za-z_]\w*",
    model=r"[A-Za-z_]\w*",
    method=r"[A-Za-z_]\w*",
    recipe=r"[0-9a-f]{16}(-\d+)?",


JOBS = {str(job.receipt): job for job in PLAN.jobs}
NETWORK = "{dataset}/{model}/seed~{seed}"
SHARE = "{dataset}/{model}/seed~{seed}/{k}"


def receipt(stage, parts):
    """The file that jobs of a stage leave; what they make is written down in it."""
    return str(RECEIPTS / stage / parts / "{recipe}.json")


def job_of(stage, parts):
    """A function from wildcards to the job that they stand for."""
    pattern = receipt(stage, parts)
    return lambda wildcards: JOBS[pattern.format(**wildcards)]


def inputs_of(find):
    """The receipts that a job waits for.

    What is done stays so, whatever comes to pass around it: its inputs are ancient, those that are
    made again included.
    """

    def inputs(wildcards):
        job = find(wildcards)
        upstream = [need.job for need in job.needs] + list(job.after)
        if job.done:
            return [ancient(str(need.receipt)) for need in upstream if need.done]
        return [str(need.receipt) for need in upstream]

    return inputs


def settings_of(find):
    return lambda wildcards: find(wildcards).settings


def recipe_of(find):
    return lambda wildcards: find(wildcards).recipe


def needs_of(find):
    """Key -> receipt, and the names of the files in it that are read."""

    def needs(wildcards):
        return {n.job.key: (str(n.job.receipt), n.files) for n in find(wildcards).needs}

    return needs


def figure(name):
    return [str(PLAN.places.figures / f"{name}.{suffix}") for suffix in ("pdf", "png")]


def captioned(path, caption, category):
    """A file with its caption in Snakemake's report."""
    return report(path, caption=f"../report/{caption}.rst", category=category)
