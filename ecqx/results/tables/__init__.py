"""Tables of a benchmark: each as data, Markdown and LaTeX, all made of the collected results.

The LaTeX of a table fits a column and has few rows; ``appendix.tex`` has all rows of all tables.

A table has a name and a title in :data:`ecqx.results.keys.TABLES`, and two functions here: one
makes a DataFrame of the collected results, the other says it for readers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ecqx.results import keys, latex, rendering
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.tables import (
    ablation,
    agreement,
    alignment,
    briefs,
    chosen,
    claims,
    classes,
    closeness,
    comparisons,
    complexity,
    contrasts,
    costs,
    coverage,
    equal_accuracy,
    equal_size,
    failures,
    faithfulness,
    hypervolume,
    matching,
    metric_agreement,
    parts,
    published,
    routes,
    sanity,
    tuning,
)

APPENDIX = "appendix.tex"


class Table(NamedTuple):
    """How a table is made; ``build`` raises Unavailable if the results lack what it is about."""

    build: Callable[[Collected], pd.DataFrame]
    document: Callable[[pd.DataFrame], rendering.Document]


TABLES = {
    "summary": Table(chosen.summary, chosen.summary_document),
    "smallest": Table(chosen.smallest, chosen.smallest_document),
    "operating_points": Table(chosen.operating_points, chosen.operating_points_document),
    "equal_size": Table(equal_size.build, equal_size.document),
    "equal_accuracy": Table(equal_accuracy.build, equal_accuracy.document),
    "contrasts": Table(contrasts.build, contrasts.document),
    "claims": Table(claims.build, claims.document),
    "ablation": Table(ablation.build, ablation.document),
    "comparisons": Table(comparisons.build, comparisons.document),
    "hypervolume": Table(hypervolume.build, hypervolume.document),
    "costs": Table(costs.build, costs.document),
    "parts": Table(parts.build, parts.document),
    "tuning": Table(tuning.build, tuning.document),
    "matching": Table(matching.build, matching.document),
    "routes": Table(routes.build, routes.document),
    "closeness": Table(closeness.build, closeness.document),
    "metric_agreement": Table(metric_agreement.build, metric_agreement.document),
    "complexity": Table(complexity.build, complexity.document),
    "faithfulness": Table(faithfulness.build, faithfulness.document),
    "alignment": Table(alignment.build, alignment.document),
    "agreement": Table(agreement.build, agreement.document),
    "classes": Table(classes.build, classes.document),
    "sanity": Table(sanity.build, sanity.document),
    "published": Table(published.build, published.document),
    "failures": Table(failures.build, failures.document),
    "coverage": Table(coverage.build, coverage.document),
}


class Made(NamedTuple):
    """One table in its three forms, and what it says.

    ``missing`` says why there is nothing in it, or is empty.
    """

    name: str
    data: pd.DataFrame
    markdown: str
    latex: str
    missing: str
    document: rendering.Document

    def write(self, folder: Path) -> list[Path]:
        """Write the three forms to a folder; their paths."""
        paths = [folder / f"{self.name}.{suffix}" for suffix in ("csv", "md", "tex")]
        self.data.to_csv(paths[0], index=False)
        for path, text in zip(paths[1:], (self.markdown, self.latex), strict=True):
            path.write_text(text, encoding="utf-8")
        return paths


def make_all(collected: Collected) -> Iterator[Made]:
    """Every table, in the order of :data:`ecqx.results.keys.TABLES`.

    What cannot be made from these results comes without rows and says why.
    """
    for name, title in keys.TABLES.items():
        try:
            table, missing = TABLES[name].build(collected), ""
            document = TABLES[name].document(table)
        except Unavailable as reason:
            table, missing = pd.DataFrame({"missing": [str(reason)]}), str(reason)
            document = rendering.Document(name, title, f"Not available: {missing}.")
        column = latex.to_column(document, briefs.brief(name))
        yield Made(name, table, rendering.to_markdown(document), column, missing, document)


def write_all(collected: Collected, folder: Path) -> tuple[list[Made], list[Path]]:
    """Write every table, and ``appendix.tex`` of all, to a folder; the tables and the files."""
    made = list(make_all(collected))
    paths = [path for table in made for path in table.write(folder)]
    appendix = folder / APPENDIX
    text = latex.to_appendix(table.document for table in made)
    appendix.write_text(text, encoding="utf-8")
    return made, [*paths, appendix]
