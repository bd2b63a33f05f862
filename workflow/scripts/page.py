"""The page to explore the results with: one HTML file from the tables and the first seed's maps."""

from pathlib import Path

import numpy as np
import pandas as pd
from pipeline.jobs.job import open_log

from ecqx import page
from ecqx.evaluation.reference import load_maps
from ecqx.results.variants import by_variant, variants


def galleries(
    tasks: list[dict],
    references: list[str],
    samples: list[str],
    maps: list[str],
    seed: int,
    names: dict[tuple[str, str], str],
) -> list[page.Gallery]:
    """What the workflow left of each task's maps, ``maps`` being those of all runs of the seed.

    ``names`` are those of variants, see :mod:`ecqx.results.variants`.
    """
    by_task = {}
    for path in maps:
        dataset, model, method, point = Path(path).parts[-6:-2]
        name = names.get((method, point), method)
        by_task.setdefault((dataset, model), {})[name, point] = path
    result = []
    for task, reference, sample in zip(tasks, references, samples, strict=True):
        name = task["dataset"], task["model"]
        with np.load(sample) as archive:
            arrays = dict(archive)
        shown = len(arrays["images"])
        result.append(
            page.Gallery(
                *name,
                seed=seed,
                images=arrays["images"],
                classes=arrays["classes"],
                reference={key: part[:shown] for key, part in load_maps(reference).items()},
                runs={run: load_maps(path) for run, path in by_task.get(name, {}).items()},
                masks=arrays.get("masks"),
            )
        )
    return result


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    # pandas' faster reading may change the last digit; the page hands numbers out again
    runs = pd.read_csv(snakemake.input.runs, float_precision="round_trip")
    names = variants(runs)
    parts = galleries(
        snakemake.params.tasks,
        snakemake.input.references,
        snakemake.input.samples,
        snakemake.input.maps,
        snakemake.params.seed,
        names,
    )
    attributions = pd.read_csv(snakemake.input.attributions)
    text = page.render(by_variant(runs, names), by_variant(attributions, names), parts)
    Path(snakemake.output[0]).write_text(text, encoding="utf-8")
    tell(f"{snakemake.output[0]}: {len(runs)} runs, {len(text) / 1e6:.1f} MB")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
