"""The full-precision network as reference, and the anchors of every consistency.

An anchor is a network between which compressed ones are read: the reference itself, the same
architecture trained from another seed, and one that was never trained.
"""

import numpy as np
import torch

from ecqx.evaluation.evaluate import anchor_rows, evaluation_subset, make_reference
from ecqx.evaluation.reference import save_reference
from ecqx.seeding import derive_seed, generator, global_seed
from ecqx.tasks import data, models
from workflow.job import open_log, prepare_torch
from workflow.rows import write_attributions


def save_gallery(path: str, dataset: data.Dataset, index: torch.Tensor) -> None:
    """What the gallery shows beside the maps, readable without torch: inputs, labels, masks."""
    test = dataset.test
    arrays = {"images": test.x[index].numpy(), "classes": np.array(dataset.classes)[test.y[index]]}
    if test.mask is not None:
        arrays["masks"] = test.mask[index].numpy()
    np.savez(path, **arrays)


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    prepare_torch()
    dataset_name, model_name = snakemake.wildcards.dataset, snakemake.wildcards.model
    seed, evaluation = int(snakemake.wildcards.seed), snakemake.params.evaluation
    dataset = data.load(snakemake.input.data)
    build = models.get(model_name).build

    def network(path: str | None = None) -> torch.nn.Module:
        with global_seed(generator("anchors", dataset_name, model_name, "random", seed)):
            model = build(dataset.input_shape, len(dataset.classes)).eval()
        if path is not None:
            model.load_state_dict(torch.load(path, weights_only=True))
        return model

    # one subset per data set: all models and seeds explain the same inputs
    subset_seed = derive_seed("evaluation_subset", dataset_name)
    index = evaluation_subset(dataset.test, evaluation["samples"], subset_seed)
    full_precision = network(snakemake.input.model)
    reference = make_reference(full_precision, dataset.test, index, evaluation["explainers"])
    anchors = {
        "identical": full_precision,
        "retrained": network(snakemake.input.retrained),
        "random": network(),
    }
    rows = anchor_rows(
        anchors,
        dataset.test,
        reference,
        evaluation["explainers"],
        [*evaluation["metrics"], *evaluation["localisation"]],
    )
    save_reference(snakemake.output.reference, reference)
    keys = {"dataset": dataset_name, "model": model_name, "seed": seed}
    write_attributions(snakemake.output.rows, [keys | row for row in rows])
    save_gallery(snakemake.output.gallery, dataset, index[: evaluation["gallery_samples"]])
    tell(f"{dataset_name}/{model_name} seed {seed}: full-precision test accuracy "
         f"{reference.accuracy:.4f}")  # fmt: skip


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
