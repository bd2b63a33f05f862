"""Figure: accuracy against size."""

import pandas as pd

from ecqx.results.figures import accuracy_vs_size
from workflow.job import open_log
from workflow.pictures import write


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    write(accuracy_vs_size(pd.read_csv(snakemake.input.runs)), snakemake.output)
    tell(f"{snakemake.output[0]} drawn")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
