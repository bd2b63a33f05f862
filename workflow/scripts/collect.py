"""The tables of all runs: one row per run, and the longer ones beside it."""

import json
from collections.abc import Iterable
from pathlib import Path

import yaml
from pipeline.jobs import rows, table_checks
from pipeline.jobs.job import open_log


def read_json(path: str) -> dict:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def read_parts(paths: Iterable[str]) -> list[dict[str, str]]:
    """Rows of all files; what several seeds say alike comes once."""
    parts = (tuple(row.items()) for path in paths for row in rows.read(path))
    return [dict(row) for row in dict.fromkeys(parts)]


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    schemas = yaml.safe_load(Path(snakemake.input.schema).read_text(encoding="utf-8"))
    pairs = zip(snakemake.input.records, snakemake.input.metrics, strict=True)
    runs = [rows.run_row(read_json(record), read_json(metrics)) for record, metrics in pairs]
    table_checks.check_runs(runs, schemas["runs"])
    rows.write_runs(snakemake.output.runs, runs)
    for table in rows.COLUMNS:
        collected = read_parts(snakemake.input[table])
        table_checks.check_columns(table, collected, schemas[table])
        rows.write(table, snakemake.output[table], collected)
    counts = {status: sum(row["status"] == status for row in runs) for status in
              ("ok", "diverged", "skipped")}  # fmt: skip
    tell("runs collected: " + ", ".join(f"{count} {status}" for status, count in counts.items()))


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
