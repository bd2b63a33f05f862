"""Generate or read one data set."""

from ecqx.seeding import derive_seed
from ecqx.tasks import data, datasets
from workflow.job import open_log, prepare_torch


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    prepare_torch()
    name = snakemake.wildcards.dataset
    dataset = datasets.get(name).prepare(derive_seed("prepare_data", name), None)
    data.save(dataset, snakemake.output.data)
    sizes = ", ".join(f"{len(getattr(dataset, s))} {s}" for s in ("train", "validation", "test"))
    tell(f"{name}: {sizes}")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
