"""All tables of the collected results, as CSV, Markdown and LaTeX."""

from pipeline.jobs.job import begin, leave_receipt, places_of, require_tables

from ecqx.results import collected, controls, files, provenance, style, tables


def main(snakemake) -> None:
    tell = begin(snakemake)
    places = places_of(snakemake)
    require_tables(places, tell)
    folder = places.tables
    style.register(provenance.looks(places.results))
    missing = []
    found, made = tables.write_all(collected.read(places.results), folder)
    for table in found:
        if table.missing:
            missing.append(table.name)
            print(f"{table.name}: nothing to show, {table.missing}")
        else:
            print(f"{table.name}: {len(table.data)} rows")
    if snakemake.params.settings["controls"]:
        paired = controls.paired_differences(files.read(places.table("runs")))
        paired.to_csv(folder / "controls.csv", index=False)
        (folder / "controls.md").write_text(controls.to_markdown(paired), encoding="utf-8")
        made += [folder / "controls.csv", folder / "controls.md"]
    leave_receipt(snakemake, made, tell)
    count = len(tables.TABLES) - len(missing)
    tell(f"{folder}: {count} tables" + (f"; without {', '.join(missing)}" if missing else ""))


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
