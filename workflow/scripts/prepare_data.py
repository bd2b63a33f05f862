"""Generate or read one data set."""

import sys
import traceback
from pathlib import Path

from pipeline.jobs.computing import prepare
from pipeline.jobs.job import begin, leave_receipt, places_of

from ecqx.tasks import data, datasets


def main(snakemake) -> None:
    tell = begin(snakemake)
    prepare(snakemake)
    settings = snakemake.params.settings
    name = settings["dataset"]
    root = Path(settings["root"]) if settings["root"] else None
    try:
        dataset = datasets.prepared(name, root)
    except (OSError, ValueError) as error:  # what the files are to blame for
        traceback.print_exc()
        tell(f"{name}: {error}")
        sys.exit(1)
    path = places_of(snakemake).data(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save(dataset, path)
    leave_receipt(snakemake, [path], tell)
    sizes = ", ".join(f"{len(getattr(dataset, s))} {s}" for s in ("train", "validation", "test"))
    tell(f"{name}: {sizes}")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
