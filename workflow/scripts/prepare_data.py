"""Generate or read one data set."""

import sys
import traceback
from pathlib import Path

from pipeline import checksum
from pipeline.jobs.job import open_log, prepare

from ecqx.seeding import derive_seed
from ecqx.tasks import data, datasets


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    prepare(snakemake)
    name = snakemake.wildcards.dataset
    root = Path(snakemake.params.root) if snakemake.params.root else None
    try:
        dataset = datasets.get(name).prepare(derive_seed("prepare_data", name), root)
        if dataset.name != name:  # augmentation, loss and score are looked up under the name
            raise ValueError(f"the data set calls itself {dataset.name!r}, expected {name!r}")
    except (OSError, ValueError) as error:  # what the files are to blame for
        traceback.print_exc()
        tell(f"{name}: {error}")
        sys.exit(1)
    data.save(dataset, snakemake.output.data)
    checksum.write(Path(snakemake.output.data))
    sizes = ", ".join(f"{len(getattr(dataset, s))} {s}" for s in ("train", "validation", "test"))
    tell(f"{name}: {sizes}")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
