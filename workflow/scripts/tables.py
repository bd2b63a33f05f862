"""The summary of all runs as CSV, Markdown and LaTeX."""

from pathlib import Path

import pandas as pd

from ecqx.results import tables
from workflow.job import open_log


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    summary = tables.summary(pd.read_csv(snakemake.input.runs))
    summary.to_csv(snakemake.output.csv, index=False)
    Path(snakemake.output.md).write_text(tables.to_markdown(summary), encoding="utf-8")
    Path(snakemake.output.tex).write_text(tables.to_latex(summary), encoding="utf-8")
    tell(f"{snakemake.output.md}: {len(summary)} rows")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
