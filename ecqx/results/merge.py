"""Put results of several folders together, and make tables and page of all of them.

    python -m ecqx.results.merge A B --into C

Each folder is one that the workflow left: ``tables/``, ``provenance.json`` and ``config.yaml``.
They are of the same version of the benchmark and of its tables. Runs that several have are
compared, and taken once; where they differ, or are of other full-precision networks, nothing is
written. What one lacks is missing in the tables and on the page; ``coverage.md`` lists it.
Attribution maps stay where they are: the page is without them.

Exit status: 0, or 2 if the results cannot be put together.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ecqx import page
from ecqx.results import collected, merging, style, tables
from ecqx.results.tables import coverage


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ecqx.results.merge",
        description=__doc__.partition("\n")[0],
        epilog="Exit status: 0, or 2 if the results cannot be put together.",
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="results of a run")
    parser.add_argument(
        "--into", type=Path, required=True, metavar="FOLDER", help="a folder that is not there yet"
    )
    options = parser.parse_args(arguments)
    try:
        if len(options.folders) < 2:
            raise ValueError(f"got {len(options.folders)} folder, expected at least 2")
        if options.into.exists():
            raise ValueError(f"{options.into}: is there already, expected a new folder")
        merged = merging.merge([merging.read(folder) for folder in options.folders])
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    merged.write(options.into)
    style.register(merged.provenance.looks)
    results = collected.read(options.into)
    tables.write_all(results, options.into / "tables")
    text = page.render_folder(options.into)
    (options.into / "page.html").write_text(text, encoding="utf-8")
    runs = merged.tables["runs"]
    print(f"{options.into}: {len(runs)} runs, {merged.repeated} of them in more than one folder")
    lacking = coverage.build(results).query("runs == 0")
    for row in lacking.itertuples():
        print(f"missing: {row.method} on {row.dataset}/{row.model}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
