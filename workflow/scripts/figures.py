"""All figures of the collected results, at page and column width, and their captions."""

from pathlib import Path

import numpy as np
import pandas as pd
from pipeline.jobs import pictures
from pipeline.jobs.job import begin, leave_receipt, places_of, require_tables
from pipeline.places import Places

from ecqx.evaluation.reference import load_maps
from ecqx.results import controls, figures, files, provenance, statistics, style
from ecqx.results.figures import layout, panels
from ecqx.results.variants import by_variant, method_of, variants

REPORT = Path(__file__).resolve().parents[1] / "report"


class Results:
    """The collected results; what only some figures need is read when the first one asks."""

    def __init__(self, places: Places, settings: dict) -> None:
        self._places, self._settings = places, settings
        self.collected = self.table("runs")
        path = places.table("methods")
        self.methods = files.read(path) if path.is_file() else None
        names = variants(self.collected, self.methods)
        self.runs = by_variant(self.collected, names)
        attributions = files.read_attributions(places.table("attributions"))
        self.attributions = by_variant(attributions, names)

    def table(self, name: str) -> pd.DataFrame:
        return files.read(self._places.table(name))

    def by_variant(self, name: str) -> pd.DataFrame:
        return by_variant(self.table(name), variants(self.collected, self.methods))

    def gallery(self, task: str, width: str):
        """The gallery of a task, "<dataset>-<model>"."""
        dataset, model = task.split("-")
        network = self._places.pretrained(dataset, model, self._settings["seed"])
        with np.load(network / "gallery.npz", allow_pickle=False) as samples:
            images, classes = samples["images"], samples["classes"]
            masks = samples["masks"] if "masks" in samples.files else None
        reference = load_maps(network / "reference.npz")
        shown = [name for name in self._settings["explainers"] if name in reference]
        if not shown:
            return panels.nothing(width, "no explainer of the configuration has maps")
        own = self.runs[(self.runs["dataset"] == dataset) & (self.runs["model"] == model)]
        selected = statistics.matched_runs(own, seed=self._settings["seed"])
        return figures.gallery(
            images,
            reference[shown[0]][: len(images)],
            selected,
            self._maps(selected, shown[0]),
            shown[0],
            masks,
            [str(name) for name in classes],
            width=width,
        )

    def _maps(self, selected: pd.DataFrame, explainer: str) -> dict[str, np.ndarray]:
        """Maps of the selected runs by method; runs without a network have none."""
        found = {}
        for run in selected.to_dict("records"):
            folder = self._places.run(run["dataset"], run["model"], method_of(run["method"]),
                                      run["point"], run["seed"])  # fmt: skip
            path = folder / "maps.npz"
            maps = load_maps(path) if path.is_file() else {}
            if explainer in maps:
                found[run["method"]] = maps[explainer]
        return found

    def lacks(self, figure: str) -> str | None:
        """What a figure would need and is not there, where the tables are all that is at hand."""
        kind, _, argument = figure.partition("-")
        needed = self._places.table(TABLES[kind]) if kind in TABLES else None
        if kind == "gallery":
            folder = self._places.pretrained(*argument.split("-"), self._settings["seed"])
            needed = folder / "gallery.npz"
        return f"there is no {needed}" if needed and not needed.is_file() else None


# Kind of figure -> the collected table that it needs beside runs and attributions.
TABLES = {
    "faithfulness_vs_size": "gains",
    "layers": "layers",
    "relevance_vs_magnitude": "relevance",
}
# Kind of figure -> how it is drawn. The name of a figure is its kind, or "<kind>-<argument>".
DRAW = {
    "accuracy_vs_size": lambda r, _, w: figures.accuracy_vs_size(r.runs, w),
    "accuracy_vs_sparsity": lambda r, _, w: figures.accuracy_vs_sparsity(r.runs, w),
    "consistency_vs_size": lambda r, metric, w: figures.consistency_vs_size(
        r.runs, r.attributions, metric, width=w
    ),
    "localisation_vs_size": lambda r, _, w: figures.localisation_vs_size(
        r.runs, r.attributions, width=w
    ),
    "faithfulness_vs_size": lambda r, _, w: figures.faithfulness_vs_size(
        r.runs, r.by_variant("gains"), width=w
    ),
    "accuracy_vs_consistency": lambda r, metric, w: figures.accuracy_vs_consistency(
        r.runs, r.attributions, metric, w
    ),
    "metric_correlations": lambda r, _, w: figures.metric_correlations(r.runs, r.attributions, w),
    "layers": lambda r, _, w: figures.layers(r.runs, r.by_variant("layers"), w),
    "relevance_vs_magnitude": lambda r, _, w: figures.relevance_vs_magnitude(
        r.table("relevance"), w
    ),
    "sensitivity": lambda r, parameter, w: figures.sensitivity(
        r.collected, parameter, w, methods=r.methods
    ),
    "training_cost": lambda r, _, w: figures.training_cost(r.runs, w),
    "ranks": lambda r, _, w: figures.ranks(r.runs, w),
    "controls": lambda r, _, w: figures.controls_of_relevance(
        r.collected, controls.paired_differences(r.collected), w
    ),
    "gallery": lambda r, task, w: r.gallery(task, w),
}


def main(snakemake) -> None:
    tell = begin(snakemake)
    places, settings = places_of(snakemake), snakemake.params.settings
    require_tables(places, tell)
    style.register(provenance.looks(places.results))
    results = Results(places, settings)
    places.figures.mkdir(parents=True, exist_ok=True)
    captions, made = [], []
    for name in settings["names"]:
        if reason := results.lacks(name):
            tell(f"{name} is left out: {reason}")
            continue
        kind, _, argument = name.partition("-")
        notes = {}
        for width in style.WIDTHS:
            figure = DRAW[kind](results, argument, width)
            made += pictures.write(figure, places.figures, pictures.file_name(name, width))
            notes[width] = layout.note_of(figure)
            if reason := panels.why_nothing(figure):
                notes[width] = f"Nothing to show: {reason}."
        text = (REPORT / f"{kind}.rst").read_text("utf-8")
        captions.append(pictures.caption(name, text, notes))
        print(f"{name}: {notes['page']}")
    path = places.figures / "captions.md"
    path.write_text("# Captions of the figures\n\n" + "\n".join(captions), encoding="utf-8")
    leave_receipt(snakemake, [*made, path], tell)
    tell(f"{places.figures}: {len(captions)} figures")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
