"""Where everything lies in the folder of results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """Folders and files below ``results``."""

    results: Path

    def data(self, dataset: str) -> Path:
        """A prepared data set."""
        return self.results / "data" / dataset / "data.pt"

    def pretrained(self, dataset: str, model: str, seed: int) -> Path:
        """The folder of a full-precision network."""
        return self.results / "pretrained" / dataset / model / f"seed~{seed}"

    def run(self, dataset: str, model: str, method: str, point: str, seed: int) -> Path:
        """The folder of a run."""
        return self.results / "runs" / dataset / model / method / point / f"seed~{seed}"

    @property
    def tables(self) -> Path:
        """The folder of tables."""
        return self.results / "tables"

    def table(self, name: str) -> Path:
        """A collected table."""
        return self.tables / f"{name}.csv"

    def samples(self, name: str) -> Path:
        """The values of single samples that a collected table has the means of."""
        return self.tables / f"{name}.parquet"

    @property
    def config(self) -> Path:
        """The configuration that the tables were made by."""
        return self.results / "config.yaml"

    @property
    def figures(self) -> Path:
        """The folder of figures."""
        return self.results / "figures"

    @property
    def page(self) -> Path:
        """The page to explore the results with."""
        return self.results / "page.html"
