"""All tables of the collected results, as CSV, Markdown and LaTeX."""

from pipeline.jobs.job import leave_receipt, open_log, places_of, require_tables

from ecqx.results import controls, files, tables

EXTRA = ("predictions", "randomisation", "methods")


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    places = places_of(snakemake)
    require_tables(places, tell)
    folder = places.tables
    runs = files.read(places.table("runs"))
    extra = {name: files.read(path) for name in EXTRA if (path := places.table(name)).is_file()}
    attributions = files.read_attributions(places.table("attributions"))
    collected = tables.Collected(runs, attributions, **extra)
    missing, made = [], []
    for table in tables.make_all(collected):
        table.data.to_csv(folder / f"{table.name}.csv", index=False)
        (folder / f"{table.name}.md").write_text(table.markdown, encoding="utf-8")
        (folder / f"{table.name}.tex").write_text(table.latex, encoding="utf-8")
        made += [folder / f"{table.name}.{suffix}" for suffix in ("csv", "md", "tex")]
        if table.missing:
            missing.append(table.name)
            print(f"{table.name}: nothing to show, {table.missing}")
        else:
            print(f"{table.name}: {len(table.data)} rows")
    if snakemake.params.settings["controls"]:
        paired = controls.paired_differences(runs)
        paired.to_csv(folder / "controls.csv", index=False)
        (folder / "controls.md").write_text(controls.to_markdown(paired), encoding="utf-8")
        made += [folder / "controls.csv", folder / "controls.md"]
    leave_receipt(snakemake, made, tell)
    count = len(tables.TABLES) - len(missing)
    tell(f"{folder}: {count} tables" + (f"; without {', '.join(missing)}" if missing else ""))


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
