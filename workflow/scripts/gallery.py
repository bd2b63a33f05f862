"""Figure: the same inputs explained by full precision and by each method at comparable size."""

from pathlib import Path

import numpy as np
import pandas as pd

from ecqx.evaluation.reference import load_maps
from ecqx.results.figures import gallery
from ecqx.results.statistics import matched_runs
from workflow.job import open_log
from workflow.pictures import write


def maps_of(selected: pd.DataFrame, paths: list[str], explainer: str) -> dict[str, np.ndarray]:
    """Maps of the selected runs by method; runs without a network have none."""
    by_run = {Path(path).parts[-4:-1]: path for path in paths}
    found = {}
    for run in selected.to_dict("records"):
        path = by_run.get((run["method"], run["point"], f"seed~{run['seed']}"))
        maps = load_maps(path) if path else {}
        if explainer in maps:
            found[run["method"]] = maps[explainer]
    return found


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    dataset, model = snakemake.wildcards.dataset, snakemake.wildcards.model
    runs = pd.read_csv(snakemake.input.runs)
    runs = runs[(runs["dataset"] == dataset) & (runs["model"] == model)]
    selected = matched_runs(runs, seed=snakemake.params.seed)
    with np.load(snakemake.input.samples) as samples:
        images, classes = samples["images"], samples["classes"]
        masks = samples["masks"] if "masks" in samples.files else None
    reference = load_maps(snakemake.input.reference)
    explainer = next(name for name in snakemake.params.explainers if name in reference)
    figure = gallery(
        images,
        reference[explainer][: len(images)],
        selected,
        maps_of(selected, snakemake.input.maps, explainer),
        explainer,
        masks,
        [str(name) for name in classes],
    )
    write(figure, snakemake.output)
    tell(f"{snakemake.output[0]}: {explainer}, {', '.join(selected['point'])}")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
