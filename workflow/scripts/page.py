"""The page to explore the results with: one HTML file from the tables and the first seed's maps."""

import numpy as np
import pandas as pd
from pipeline.jobs.job import begin, leave_receipt, places_of, require_tables
from pipeline.places import Places

from ecqx import page
from ecqx.evaluation.reference import load_maps
from ecqx.results import files
from ecqx.results.variants import variants


def gallery(
    places: Places, task: list[str], seed: int, runs: pd.DataFrame, names: dict
) -> page.Gallery | None:
    """The maps of a task and seed that are there; None without any.

    ``names`` are those of variants, see :mod:`ecqx.results.variants`.
    """
    network = places.pretrained(*task, seed)
    if not (network / "gallery.npz").is_file():
        return None
    with np.load(network / "gallery.npz", allow_pickle=False) as archive:
        arrays = dict(archive)
    shown = len(arrays["images"])
    dataset, model = task
    own = runs[(runs["dataset"] == dataset) & (runs["model"] == model) & (runs["seed"] == seed)]
    maps = {}
    for method, point in zip(own["method"], own["point"], strict=True):
        path = places.run(dataset, model, method, point, seed) / "maps.npz"
        if path.is_file():
            maps[names.get((method, point), method), point] = load_maps(path)
    reference = load_maps(network / "reference.npz")
    return page.Gallery(
        dataset,
        model,
        seed=seed,
        images=arrays["images"],
        classes=arrays["classes"],
        reference={key: part[:shown] for key, part in reference.items()},
        runs=maps,
        masks=arrays.get("masks"),
    )


def main(snakemake) -> None:
    tell = begin(snakemake)
    places, settings = places_of(snakemake), snakemake.params.settings
    require_tables(places, tell)
    runs = files.read(places.table("runs"))
    methods = places.table("methods")
    names = variants(runs, files.read(methods) if methods.is_file() else None)
    found = [gallery(places, task, settings["seed"], runs, names) for task in settings["tasks"]]
    text = page.render_folder(places.results, [part for part in found if part is not None])
    places.page.write_text(text, encoding="utf-8")
    leave_receipt(snakemake, [places.page], tell)
    tell(f"{places.page}: {len(runs)} runs, {len(text) / 1e6:.1f} MB")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
