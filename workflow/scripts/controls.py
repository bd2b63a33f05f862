"""ECQx with LRP against its controls: paired differences."""

from pathlib import Path

from pipeline.jobs.job import open_log

from ecqx.results import controls, files


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    table = controls.paired_differences(files.read(snakemake.input.runs))
    table.to_csv(snakemake.output.csv, index=False)
    Path(snakemake.output.md).write_text(controls.to_markdown(table), encoding="utf-8")
    tell(f"{snakemake.output.md}: {len(table)} rows")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
