SUMMARY = [f"{RESULTS}/tables/summary.{suffix}" for suffix in ("csv", "md", "tex")]


localrules:
    tables,


rule tables:
    input:
        runs=TABLES[0],
        library=library("workflow/scripts/tables.py"),
    output:
        csv=SUMMARY[0],
        md=report(SUMMARY[1], caption="../report/summary.rst", category="Tables"),
        tex=SUMMARY[2],
    log:
        f"{LOG}/tables.log",
    benchmark:
        f"{BENCHMARK}/tables.tsv"
    script:
        "../scripts/tables.py"
