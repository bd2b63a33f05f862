# All tables in one process, made of the collected ones; see ecqx/results/tables/. One without anything
# to show (no masks, no method with matching ...) is written all the same and says so.

TABLE_NAMES = list(keys.TABLES)
# Where ECQx is run with several sources of relevance, they are compared with each other.
CONTROLS = ["controls"] if PLAN.tables.settings["controls"] else []


rule make_tables:
    input:
        inputs_of(lambda wildcards: PLAN.tables),
    output:
        csv=[str(PLAN.places.tables / f"{name}.csv") for name in TABLE_NAMES + CONTROLS],
        tex=[str(PLAN.places.tables / f"{name}.tex") for name in TABLE_NAMES],
        appendix=str(PLAN.places.tables / "appendix.tex"),
        md=[
            captioned(str(PLAN.places.tables / f"{name}.md"), name, "Tables")
            for name in TABLE_NAMES
        ],
        controls=[
            captioned(str(PLAN.places.tables / f"{name}.md"), "controls_table", "Tables")
            for name in CONTROLS
        ],
        receipt=str(PLAN.tables.receipt),
    log:
        f"{LOGS}/make_tables.log",
    benchmark:
        f"{BENCHMARKS}/make_tables.tsv"
    retries: 0
    localrule: True
    params:
        settings=PLAN.tables.settings,
        recipe=PLAN.tables.recipe,
        needs=needs_of(lambda wildcards: PLAN.tables),
    script:
        "../scripts/tables.py"


# The same from whatever tables are there: nothing is trained, and nothing upstream is looked at.
rule tables:
    log:
        f"{LOGS}/tables.log",
    params:
        settings=PLAN.tables.settings,
    script:
        "../scripts/tables.py"
