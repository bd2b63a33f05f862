"""Whether explainers notice that layers were randomised, or another class asked for."""

import torch
from pipeline.jobs import rows
from pipeline.jobs.computing import prepare
from pipeline.jobs.job import begin, leave_receipt, places_of

from ecqx.evaluation.random_logit import random_logit_rows
from ecqx.evaluation.randomisation import randomisation_rows
from ecqx.evaluation.subset import background, evaluation_pairs
from ecqx.seeding import derive_seed, generator
from ecqx.tasks import data, models


def main(snakemake) -> None:
    tell = begin(snakemake)
    device = prepare(snakemake)
    settings, places = snakemake.params.settings, places_of(snakemake)
    dataset_name, model_name, seed = settings["dataset"], settings["model"], settings["seed"]
    evaluation = settings["evaluation"]
    folder = places.pretrained(dataset_name, model_name, seed)
    dataset = data.load(places.data(dataset_name))
    model = models.network(model_name, dataset.input_shape, len(dataset.classes))
    model.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
    # the pairs that the reference explains
    subset_seed = derive_seed("evaluation_subset", dataset_name)
    index, target = evaluation_pairs(dataset.test, evaluation["samples"], subset_seed)
    asked = (model.to(device), dataset.test.x[index], target)
    judged = (evaluation["explainers"], evaluation["metrics"])
    task = (dataset_name, model_name, seed)
    normal = background(dataset.train, derive_seed("background", dataset_name))
    table = [
        {"layers_randomised": 0, "layer": "another class"} | row
        for row in random_logit_rows(
            *asked, len(dataset.classes), *judged, generator("random_logit", *task), normal
        )
    ]
    table += randomisation_rows(*asked, *judged, generator("randomisation", *task), normal)
    identity = {"dataset": dataset_name, "model": model_name, "seed": seed}
    path = folder / "randomisation.csv"
    rows.write("randomisation", path, [identity | row for row in table])
    leave_receipt(snakemake, [path], tell)
    tell(f"{dataset_name}/{model_name} seed {seed}: {len(table)} rows of the randomisation check")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
