"""The full-precision network as reference, the anchors of every consistency, its own explanations.

An anchor is a network between which compressed ones are read: the reference itself, the same
architecture trained from another seed, and one that was never trained.
"""

import numpy as np
import torch
from pipeline.jobs import rows
from pipeline.jobs.job import open_log, prepare

from ecqx.attribution.lrp import check_rules
from ecqx.evaluation.evaluate import anchor_rows, inapplicable, make_reference
from ecqx.evaluation.layers import mean_weight_relevance, relevance_rows
from ecqx.evaluation.randomisation import randomisation_rows
from ecqx.evaluation.reference import Reference, save_reference
from ecqx.evaluation.subset import evaluation_pairs
from ecqx.seeding import derive_seed, generator, global_seed
from ecqx.tasks import data, models
from ecqx.tasks.task import objective

# Training samples that weight relevance is the mean over: the data that relevance is taken from
# where it steers a method, never the test split.
RELEVANCE_SAMPLES = 256


def save_gallery(path: str, dataset: data.Dataset, reference: Reference, shown: int) -> None:
    """What the gallery shows beside the maps, readable without torch: inputs, labels, masks."""
    test, index, target = dataset.test, reference.index[:shown], reference.target[:shown]
    arrays = {"images": test.x[index].numpy(), "classes": np.array(dataset.classes)[target]}
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
    tell = open_log(snakemake.log[0])
    device = prepare(snakemake)
    dataset_name, model_name = snakemake.wildcards.dataset, snakemake.wildcards.model
    seed, evaluation = int(snakemake.wildcards.seed), snakemake.params.evaluation
    explainers, metrics = evaluation["explainers"], evaluation["metrics"]
    dataset = data.load(snakemake.input.data)
    test = dataset.test
    _, score = objective(dataset)
    build = models.get(model_name).build

    def network(path: str | None = None) -> torch.nn.Module:
        with global_seed(generator("anchors", dataset_name, model_name, "random", seed)):
            model = build(dataset.input_shape, len(dataset.classes)).eval()
        if path is not None:
            model.load_state_dict(torch.load(path, weights_only=True))
        return model.to(device)

    # one subset per data set: all models and seeds explain the same pairs
    subset_seed = derive_seed("evaluation_subset", dataset_name)
    index, target = evaluation_pairs(test, evaluation["samples"], subset_seed)
    full_precision = network(snakemake.input.model)
    reference = make_reference(
        full_precision, test, dataset.validation, index, target, explainers, score
    )
    anchors = {"identical": full_precision}
    # weights that were given are the same for every seed
    if snakemake.input.retrained:
        anchors["retrained"] = network(snakemake.input.retrained)
    anchors["random"] = network()
    measures = [*metrics, *evaluation["localisation"]]
    skipped = inapplicable(full_precision, explainers)
    rng = generator("randomisation", dataset_name, model_name, seed)
    tables = {
        "attributions": anchor_rows(anchors, test, reference, explainers, score, measures),
        "relevance": weight_relevance_rows(full_precision, dataset, tell),
        "randomisation": randomisation_rows(
            full_precision, test.x[index], target, explainers, metrics, rng
        )
        if evaluation["randomisation"]
        else [],
    }
    save_reference(snakemake.output.reference, reference)
    task = {"dataset": dataset_name, "model": model_name}
    for name, table in tables.items():
        identified = [task | {"seed": seed} | row for row in table]
        rows.write(name, snakemake.output[name], identified)
    reasons = [task | {"explainer": name, "reason": reason} for name, reason in skipped.items()]
    rows.write("skipped", snakemake.output.skipped, reasons)
    save_gallery(snakemake.output.gallery, dataset, reference, evaluation["gallery_samples"])
    tell(f"{dataset_name}/{model_name} seed {seed}: full-precision test accuracy "
         f"{reference.accuracy:.4f}")  # fmt: skip


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
