"""The tables of all runs: one row per run, and the longer ones beside it."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import yaml
from pipeline.jobs import rows, table_checks
from pipeline.jobs.job import leave_receipt, open_log, places_of

from ecqx.results.keys import STATUSES

SCHEMAS = Path(__file__).resolve().parents[1] / "schemas/tables.schema.yaml"
# Tables that every run has a part of, and those that every full-precision network has one of.
OF_RUNS = ("attributions", "predictions", "layers")
OF_NETWORKS = ("relevance", "randomisation", "skipped")


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def read_parts(paths: Iterable[Path]) -> list[dict[str, str]]:
    """Rows of all files; what several seeds say alike comes once."""
    parts = (tuple(row.items()) for path in paths for row in rows.read(path))
    return [dict(row) for row in dict.fromkeys(parts)]


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    settings, places = snakemake.params.settings, places_of(snakemake)
    schemas = yaml.safe_load(SCHEMAS.read_text(encoding="utf-8"))
    folders = [places.run(*run) for run in settings["runs"]]
    networks = [places.pretrained(*network) for network in settings["networks"]]
    runs = [
        rows.run_row(read_json(folder / "run.json"), read_json(folder / "metrics.json"))
        for folder in folders
    ]
    table_checks.check_runs(runs, schemas["runs"])
    rows.write_runs(places.table("runs"), runs)
    parts = {table: [folder / f"{table}.csv" for folder in folders] for table in OF_RUNS}
    parts |= {table: [folder / f"{table}.csv" for folder in networks] for table in OF_NETWORKS}
    parts["attributions"] = [folder / "anchors.csv" for folder in networks] + parts["attributions"]
    if not settings["randomisation"]:
        parts["randomisation"] = []
    for table, paths in parts.items():
        collected = read_parts(paths)
        table_checks.check_columns(table, collected, schemas[table])
        rows.write(table, places.table(table), collected)
    leave_receipt(snakemake, [places.table(name) for name in ("runs", *parts)], tell)
    counts = Counter(row["status"] for row in runs)
    tell("runs collected: " + ", ".join(f"{counts[status]} {status}" for status in STATUSES))


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
