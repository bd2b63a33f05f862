"""Figure: how well attributions find the masks, against size."""

import pandas as pd

from ecqx.results.figures import localisation_vs_size
from workflow.job import open_log
from workflow.pictures import write


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    runs = pd.read_csv(snakemake.input.runs)
    attributions = pd.read_csv(snakemake.input.attributions)
    metrics = tuple(snakemake.params.metrics)
    write(localisation_vs_size(runs, attributions, metrics=metrics), snakemake.output)
    tell(f"{snakemake.output[0]} drawn")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
