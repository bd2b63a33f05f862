"""The full-precision network as reference, and the anchors of every consistency.

An anchor is a network between which compressed ones are read: the reference itself, the same
architecture trained from a seed of its own, which no run has, and one that was never trained.
"""

from pathlib import Path

import numpy as np
import torch
from pipeline.jobs import rows
from pipeline.jobs.computing import prepare
from pipeline.jobs.job import begin, leave_receipt, places_of

from ecqx.attribution.lrp import check_rules
from ecqx.evaluation.evaluate import evaluate_network, inapplicable, reference_of
from ecqx.evaluation.faithfulness import gain_rows
from ecqx.evaluation.layers import mean_weight_relevance, relevance_rows
from ecqx.evaluation.measuring import gain_samples, occlusion_gains
from ecqx.evaluation.reference import Reference, save_reference
from ecqx.evaluation.subset import evaluation_pairs
from ecqx.results import samples
from ecqx.seeding import derive_seed, generator, global_seed
from ecqx.tasks import data, models
from ecqx.tasks.task import objective

# Training samples that weight relevance is the mean over: the data that relevance is taken from
# where it steers a method, never the test split.
RELEVANCE_SAMPLES = 256


def save_gallery(path: Path, dataset: data.Dataset, reference: Reference, shown: int) -> None:
    """What the gallery shows beside the maps, readable without torch: inputs, labels, masks."""
    test, index, target = dataset.test, reference.index[:shown], reference.target[:shown]
    classes = np.array(dataset.classes)[target.numpy()]  # a tensor of one would give a scalar
    arrays = {"images": test.x[index].numpy(), "classes": classes}
    if test.mask is not None:
        arrays["masks"] = test.mask_of(index, target).numpy()
    np.savez(path, **arrays)


def weight_relevance_rows(model: torch.nn.Module, dataset: data.Dataset, tell) -> list[dict]:
    """Rows of relevance.csv; none, and a line in the log, if LRP has no rule for a layer."""
    try:
        check_rules(model)
    except ValueError as error:
        tell(f"no weight relevance: {error}")
        return []
    train, seed = dataset.train, derive_seed("relevance_subset", dataset.name)
    index, target = evaluation_pairs(train, RELEVANCE_SAMPLES, seed)
    return relevance_rows(model, mean_weight_relevance(model, train.x[index], target))


def main(snakemake) -> None:
    tell = begin(snakemake)
    device = prepare(snakemake)
    settings, places = snakemake.params.settings, places_of(snakemake)
    dataset_name, model_name, seed = settings["dataset"], settings["model"], settings["seed"]
    evaluation = settings["evaluation"]
    explainers = evaluation["explainers"]
    dataset = data.load(places.data(dataset_name))
    test = dataset.test
    _, score = objective(dataset)

    def network(trained: int | None = None) -> torch.nn.Module:
        """That of a seed, or one that was never trained."""
        with global_seed(generator("anchors", dataset_name, model_name, "random", seed)):
            model = models.network(model_name, dataset.input_shape, len(dataset.classes))
        if trained is not None:
            path = places.pretrained(dataset_name, model_name, trained) / "model.pt"
            model.load_state_dict(torch.load(path, weights_only=True))
        return model.to(device)

    full_precision = network(seed)
    reference = reference_of(full_precision, dataset, evaluation["samples"], explainers)
    anchors = {"identical": full_precision}
    # weights that were given are the same for every seed
    if settings["retrained"] is not None:
        anchors["retrained"] = network(settings["retrained"])
    anchors["random"] = network()
    measures = [*evaluation["metrics"], *evaluation["localisation"], *evaluation["complexity"]]
    skipped = inapplicable(full_precision, explainers)
    folder = places.pretrained(dataset_name, model_name, seed)
    folder.mkdir(parents=True, exist_ok=True)
    save_reference(folder / "reference.npz", reference)
    save_gallery(folder / "gallery.npz", dataset, reference, evaluation["gallery_samples"])
    task = {"dataset": dataset_name, "model": model_name}
    seeded = task | {"seed": seed}
    attributions, gains, values = [], [], {"attributions": [], "gains": []}
    for anchor, model in anchors.items():
        run = seeded | {"method": anchor, "point": "anchor"}
        evaluated = evaluate_network(model, test, reference, explainers, score, measures)
        found = occlusion_gains(
            model, full_precision, dataset, reference, evaluated["maps"], evaluation["faithfulness"]
        )
        attributions += [run | row for row in evaluated["rows"]]
        gains += [run | row for row in gain_rows(found)]
        columns = {"attributions": evaluated["samples"], "gains": gain_samples(found, reference)}
        for name, of in columns.items():
            values[name].append(samples.table_of(name, run, of))
    relevance = weight_relevance_rows(full_precision, dataset, tell)
    reasons = [{"explainer": name, "reason": reason} for name, reason in skipped.items()]
    rows.write("attributions", folder / "anchors.csv", attributions)
    samples.write(folder / "anchors.parquet", "attributions", values["attributions"])
    rows.write("gains", folder / "gains.csv", gains)
    samples.write(folder / "gains.parquet", "gains", values["gains"])
    rows.write("relevance", folder / "relevance.csv", [seeded | row for row in relevance])
    rows.write("skipped", folder / "skipped.csv", [task | row for row in reasons])
    names = ("reference.npz", "gallery.npz", "anchors.csv", "anchors.parquet", "gains.csv",
             "gains.parquet", "relevance.csv", "skipped.csv")  # fmt: skip
    leave_receipt(snakemake, [folder / name for name in names], tell)
    tell(f"{dataset_name}/{model_name} seed {seed}: full-precision test accuracy "
         f"{reference.accuracy:.4f}")  # fmt: skip


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
