"""ECQx with LRP against its controls: paired differences, and accuracy against size by source."""

from pathlib import Path

import pandas as pd

from ecqx.results import controls
from ecqx.results.figures import accuracy_vs_size
from workflow.job import open_log
from workflow.pictures import write


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    runs = pd.read_csv(snakemake.input.runs)
    table = controls.paired_differences(runs)
    table.to_csv(snakemake.output.csv, index=False)
    Path(snakemake.output.md).write_text(controls.to_markdown(table), encoding="utf-8")
    compared = runs[runs["method"].isin(["ecq", "ecqx"])]
    write(accuracy_vs_size(controls.by_source(compared)), snakemake.output.figure)
    tell(f"{snakemake.output.md}: {len(table)} rows")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
