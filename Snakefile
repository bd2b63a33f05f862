from snakemake.utils import min_version

min_version("9.0")


configfile: f"{workflow.current_basedir}/config/default.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/check.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/compress.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/page.smk"


rule all:
    default_target: True
    input:
        [str(job.receipt) for job in PLAN.jobs],
