"""The tables of all runs, and beside them what the runs were made by."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import yaml
from pipeline.jobs import rows, table_checks
from pipeline.jobs.job import begin, leave_receipt, places_of

from ecqx.compression import declared
from ecqx.results import provenance, samples
from ecqx.results.keys import STATUSES

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "workflow/schemas/tables.schema.yaml"
# Tables that every run has a part of, and those that every full-precision network has one of.
OF_RUNS = ("attributions", "gains", "predictions", "layers")
OF_NETWORKS = ("relevance", "randomisation", "skipped")


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def read_parts(paths: Iterable[Path]) -> list[dict[str, str]]:
    """Rows of all files; what several seeds say alike comes once."""
    parts = (tuple(row.items()) for path in paths for row in rows.read(path))
    return [dict(row) for row in dict.fromkeys(parts)]


def main(snakemake) -> None:
    tell = begin(snakemake)
    settings, places = snakemake.params.settings, places_of(snakemake)
    schemas = yaml.safe_load(SCHEMAS.read_text(encoding="utf-8"))
    folders = [places.run(*run) for run in settings["runs"]]
    networks = [places.pretrained(*network) for network in settings["networks"]]
    records = [read_json(folder / "run.json") for folder in folders]
    runs = [
        rows.run_row(record, read_json(folder / "metrics.json"))
        for record, folder in zip(records, folders, strict=True)
    ]
    table_checks.check_runs(runs, schemas["runs"])
    rows.write_runs(places.table("runs"), runs)
    parts = {table: [folder / f"{table}.csv" for folder in folders] for table in OF_RUNS}
    parts |= {table: [folder / f"{table}.csv" for folder in networks] for table in OF_NETWORKS}
    parts["attributions"] = [folder / "anchors.csv" for folder in networks] + parts["attributions"]
    parts["gains"] = [
        *(folder / "gains.csv" for folder in networks), *parts["gains"]
    ]  # fmt: skip
    if not settings["randomisation"]:
        parts["randomisation"] = []
    for table, paths in parts.items():
        collected = read_parts(paths)
        table_checks.check_columns(table, collected, schemas[table])
        rows.write(table, places.table(table), collected)
    made = [places.table(name) for name in ("runs", *parts)]
    for table, of_anchors in (("attributions", "anchors"), ("gains", "gains")):
        paths = [folder / f"{of_anchors}.parquet" for folder in networks]
        paths += [folder / f"{table}.parquet" for folder in folders]
        made.append(places.samples(table))
        samples.write(made[-1], table, (samples.read(path, table) for path in paths))
    methods = {
        method: declared.read(ROOT / f"baselines/{method}.py")
        for method in settings["config"]["methods"]
    }
    made.append(provenance.of_records(records, methods).write(places.results))
    # a file to run the same again with
    text = yaml.safe_dump(settings["config"], sort_keys=False, allow_unicode=True, width=100)
    places.config.write_text(text, encoding="utf-8")
    leave_receipt(snakemake, [*made, places.config], tell)
    counts = Counter(row["status"] for row in runs)
    tell("runs collected: " + ", ".join(f"{counts[status]} {status}" for status in STATUSES))


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
