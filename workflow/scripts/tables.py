"""All tables of the collected results, as CSV, Markdown and LaTeX."""

from pathlib import Path

from pipeline.jobs.job import open_log

from ecqx.results import files, tables


def main(snakemake) -> None:
    tell = open_log(snakemake.log[0])
    given = snakemake.input
    extra = {
        name: files.read(path)
        for name in ("predictions", "randomisation")
        if (path := getattr(given, name, None))
    }
    collected = tables.Collected(
        files.read(given.runs), files.read_attributions(given.attributions), **extra
    )
    folder = Path(snakemake.output[0]).parent
    missing = []
    for made in tables.make_all(collected):
        made.data.to_csv(folder / f"{made.name}.csv", index=False)
        (folder / f"{made.name}.md").write_text(made.markdown, encoding="utf-8")
        (folder / f"{made.name}.tex").write_text(made.latex, encoding="utf-8")
        if made.missing:
            missing.append(made.name)
            print(f"{made.name}: nothing to show, {made.missing}")
        else:
            print(f"{made.name}: {len(made.data)} rows")
    count = len(tables.TABLES) - len(missing)
    tell(f"{folder}: {count} tables" + (f"; without {', '.join(missing)}" if missing else ""))


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (set by Snakemake)
