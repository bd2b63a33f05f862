"""One row per run, and one per run, explainer and metric."""

import itertools
import json
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from workflow import rows
from workflow.job import open_log


def read_json(path: str) -> dict:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def check(run_rows: list[dict], schema: dict) -> None:
    """ValueError naming the run, the column and what is wrong with it."""
    validator = Draft202012Validator(schema)
    for row in run_rows:
        if error := next(validator.iter_errors(row), None):
            where = "/".join(str(row.get(key)) for key in rows.RUN_COLUMNS[:5])
            raise ValueError(f"{where}: {'.'.join(map(str, error.path))}: {error.message}")


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    pairs = zip(snakemake.input.records, snakemake.input.metrics, strict=True)
    runs = [rows.run_row(read_json(record), read_json(metrics)) for record, metrics in pairs]
    check(runs, yaml.safe_load(Path(snakemake.input.schema).read_text(encoding="utf-8")))
    parts = itertools.chain(snakemake.input.anchors, snakemake.input.rows)
    rows.write_runs(snakemake.output.runs, runs)
    attributions = [row for part in parts for row in rows.read(part)]
    rows.write_attributions(snakemake.output.attributions, attributions)
    counts = {status: sum(row["status"] == status for row in runs) for status in
              ("ok", "diverged", "skipped")}  # fmt: skip
    tell("runs collected: " + ", ".join(f"{count} {status}" for status, count in counts.items()))


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
