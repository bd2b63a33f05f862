"""All figures of the collected results, at page and column width, and their captions."""

from pathlib import Path

import numpy as np
import pandas as pd
from pipeline.jobs import pictures
from pipeline.jobs.job import open_log

from ecqx.evaluation.reference import load_maps
from ecqx.results import figures, files, statistics, style
from ecqx.results.figures import layout, panels
from ecqx.results.variants import by_variant, method_of, variants


class Results:
    """The collected results; what only some figures need is read when the first one asks."""

    def __init__(self, snakemake) -> None:
        self._given, self._params = snakemake.input, snakemake.params
        self.collected = files.read(self._given.runs)
        names = variants(self.collected)
        self.runs = by_variant(self.collected, names)
        attributions = files.read_attributions(self._given.attributions)
        self.attributions = by_variant(attributions, names)

    def table(self, name: str) -> pd.DataFrame:
        return files.read(self._given[name])

    def by_variant(self, name: str) -> pd.DataFrame:
        return by_variant(self.table(name), variants(self.collected))

    def gallery(self, task: str, width: str):
        """The gallery of a task, "<dataset>-<model>"."""
        index = self._params.galleries.index(task)
        with np.load(self._given.samples[index]) as samples:
            images, classes = samples["images"], samples["classes"]
            masks = samples["masks"] if "masks" in samples.files else None
        reference = load_maps(self._given.references[index])
        shown = [name for name in self._params.explainers if name in reference]
        if not shown:
            return panels.nothing(width, "no explainer of the configuration has maps")
        names = self.runs["dataset"] + "-" + self.runs["model"]
        selected = statistics.matched_runs(self.runs[names == task], seed=self._params.seed)
        return figures.gallery(
            images,
            reference[shown[0]][: len(images)],
            selected,
            self._maps(task, selected, shown[0]),
            shown[0],
            masks,
            [str(name) for name in classes],
            width=width,
        )

    def _maps(self, task: str, selected: pd.DataFrame, explainer: str) -> dict[str, np.ndarray]:
        """Maps of the selected runs by method; runs without a network have none."""
        by_run = {}
        for path in self._given.maps:
            dataset, model, *run = Path(path).parts[-6:-1]
            if f"{dataset}-{model}" == task:
                by_run[tuple(run)] = path
        found = {}
        for run in selected.to_dict("records"):
            path = by_run.get((method_of(run["method"]), run["point"], f"seed~{run['seed']}"))
            maps = load_maps(path) if path else {}
            if explainer in maps:
                found[run["method"]] = maps[explainer]
        return found


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
    "accuracy_vs_consistency": lambda r, metric, w: figures.accuracy_vs_consistency(
        r.runs, r.attributions, metric, w
    ),
    "metric_correlations": lambda r, _, w: figures.metric_correlations(r.runs, r.attributions, w),
    "layers": lambda r, _, w: figures.layers(r.runs, r.by_variant("layers"), w),
    "relevance_vs_magnitude": lambda r, _, w: figures.relevance_vs_magnitude(
        r.table("relevance"), w
    ),
    "sensitivity": lambda r, parameter, w: figures.sensitivity(r.collected, parameter, w),
    "training_cost": lambda r, _, w: figures.training_cost(r.runs, w),
    "ranks": lambda r, _, w: figures.ranks(r.runs, w),
    "controls": lambda r, _, w: figures.controls_of_relevance(r.collected, r.table("controls"), w),
    "gallery": lambda r, task, w: r.gallery(task, w),
}


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    results = Results(snakemake)
    folder = Path(snakemake.output.captions).parent
    texts = {Path(path).stem: Path(path).read_text("utf-8") for path in snakemake.input.texts}
    captions = []
    for name in snakemake.params.names:
        kind, _, argument = name.partition("-")
        notes = {}
        for width in style.WIDTHS:
            figure = DRAW[kind](results, argument, width)
            pictures.write(figure, folder, pictures.file_name(name, width))
            notes[width] = layout.note_of(figure)
            if reason := panels.why_nothing(figure):
                notes[width] = f"Nothing to show: {reason}."
        captions.append(pictures.caption(name, texts[kind], notes))
        print(f"{name}: {notes['page']}")
    text = "# Captions of the figures\n\n" + "\n".join(captions)
    Path(snakemake.output.captions).write_text(text, encoding="utf-8")
    for name, reason in snakemake.params.left_out.items():
        tell(f"{name} is left out: {reason}")
    tell(f"{folder}: {len(captions)} figures")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
