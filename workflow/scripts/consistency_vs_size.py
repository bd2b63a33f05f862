"""Figures: consistency of attributions with full precision against size, one per metric."""

import pandas as pd

from ecqx.results.figures import consistency_vs_size
from workflow.job import open_log
from workflow.pictures import FORMATS, write


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    runs = pd.read_csv(snakemake.input.runs)
    attributions = pd.read_csv(snakemake.input.attributions)
    paths = list(snakemake.output)
    for metric in snakemake.params.metrics:
        of_metric, paths = paths[: len(FORMATS)], paths[len(FORMATS) :]
        write(consistency_vs_size(runs, attributions, metric=metric), of_metric)
    tell(f"{snakemake.output[0]} and its like drawn")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
