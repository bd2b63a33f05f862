"""Generate or read one data set."""

from pathlib import Path

from ecqx.seeding import derive_seed
from ecqx.tasks import data, datasets
from workflow.job import open_log, prepare_torch


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    prepare_torch()
    name = snakemake.wildcards.dataset
    root = Path(snakemake.params.root) if snakemake.params.root else None
    dataset = datasets.get(name).prepare(derive_seed("prepare_data", name), root)
    data.save(dataset, snakemake.output.data)
    sizes = ", ".join(f"{len(getattr(dataset, s))} {s}" for s in ("train", "validation", "test"))
    tell(f"{name}: {sizes}")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
