# Every figure as PDF and PNG, at page and at column width, in one job: starting up takes longer than
# drawing most of them.

FIGURES = PLAN.figures.settings["names"]


rule draw_figures:
    input:
        inputs_of(lambda wildcards: PLAN.figures),
    output:
        column=[path for name in FIGURES for path in figure(f"{name}-column")],
        pdf=[figure(name)[0] for name in FIGURES],
        png=[captioned(figure(name)[1], name.partition("-")[0], "Figures") for name in FIGURES],
        captions=str(PLAN.places.figures / "captions.md"),
        receipt=str(PLAN.figures.receipt),
    log:
        f"{LOGS}/draw_figures.log",
    benchmark:
        f"{BENCHMARKS}/draw_figures.tsv"
    params:
        settings=PLAN.figures.settings,
        recipe=PLAN.figures.recipe,
        needs=needs_of(lambda wildcards: PLAN.figures),
    script:
        "../scripts/figures.py"


# The same from whatever tables and maps are there.
rule figures:
    log:
        f"{LOGS}/figures.log",
    params:
        settings=PLAN.figures.settings,
    script:
        "../scripts/figures.py"
