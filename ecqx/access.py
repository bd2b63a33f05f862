"""The compressed networks of a run of the benchmark, by name."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ecqx.results import files, keys

if TYPE_CHECKING:
    import torch

_NAME = re.compile(
    r"(?P<dataset>\w+)(/(?P<model>\w+))?/(?P<method>\w+)@(?P<which>\S+)", flags=re.ASCII
)
_SIZE = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>B|kB|MB)")
_BYTES = {"B": 1, "kB": 1000, "MB": 1_000_000}


@dataclass(frozen=True)
class Result:
    """One run: a network that was compressed by one method at one operating point.

    Attributes
    ----------
    folder : Path, of the run.
    row : dict, its row of runs.csv: accuracy, size_bytes, ...; undefined values are None.
    record : dict, its run.json: effective parameters, versions, the network that it is of.
    """

    folder: Path
    row: dict[str, Any]
    record: dict[str, Any]

    @property
    def artefact(self) -> Path:
        """The bitstream, which :func:`ecqx.load` and :func:`ecqx.decode` read."""
        return self.folder / "model.nnc"

    def network(self) -> torch.nn.Module:
        """The decoded network, in evaluation mode.

        Raises
        ------
        ValueError : the artefact is damaged, or the function that builds the network cannot be
            imported; ``ecqx.load(result.artefact, network)`` takes one that is built otherwise.
        """
        from ecqx.compression.api import architecture, load
        from ecqx.tasks import models
        from ecqx.tasks.own_model import OwnModel

        built, other = self.record["network"], architecture(self.artefact)
        shape, classes = tuple(built["input_shape"]), built["n_classes"]
        if built["factory"]:
            return load(self.artefact, OwnModel(self.row["model"], built["factory"]).build(
                shape, classes, **other))  # fmt: skip
        return load(self.artefact, models.network(self.row["model"], shape, classes, **other))

    def __repr__(self) -> str:
        names = "/".join(str(self.row[key]) for key in keys.RUN[:-1])
        return (
            f"Result({names}, seed {self.row['seed']}: {self.row['size_bytes']:,.0f} bytes, "
            f"accuracy {self.row['accuracy']:.4f}, full precision {self.row['accuracy_fp32']:.4f})"
        )


def load_result(name: str, results: str | Path = "results", seed: int | None = None) -> Result:
    """A run of the benchmark by what it is: ``"cluttered_digits/ecq@6kB"``.

    Parameters
    ----------
    name : ``DATASET/METHOD@SIZE`` or ``DATASET/MODEL/METHOD@SIZE``, the size in B, kB or MB (1 kB =
        1000 bytes): of the operating points that are no larger, on average over seeds, the one that
        is best on validation data. Or the name of an operating point in place of the size:
        ``digits/ecq@bits~4_lam~0.05``.
    results : folder of results, with ``tables/`` and ``runs/``.
    seed : the repetition; by default the first.

    Raises
    ------
    ValueError : the name is not written like that, or there is no such run; the message says what
        there is.
    """
    if not (match := _NAME.fullmatch(name)):
        raise ValueError(
            f"{name}: expected DATASET/METHOD@SIZE, such as digits/ecq@6kB, DATASET/MODEL/METHOD@"
            "SIZE, or the name of an operating point in place of the size"
        )
    folder = Path(results)
    if (path := files.find(folder, "runs")) is None:
        raise ValueError(f"{folder}: no runs.csv or runs.csv.gz, there or in tables/")
    runs = files.read(path)
    runs = runs[runs["status"] == "ok"]
    for column in ("dataset", "model", "method"):
        if match[column] is not None:
            runs = _of(runs, column, match[column], folder)
    if len(models := runs["model"].unique()) > 1:
        raise ValueError(f"{name}: of {' or '.join(models)}? Name one behind the data set")
    runs = _of(runs, "point", _point(runs, match["which"]), folder)
    runs = runs[runs["seed"] == (runs["seed"].min() if seed is None else seed)]
    if runs.empty:
        raise ValueError(f"{name}: no run of seed {seed} in {folder}")
    row = {key: None if pd.isna(value) else value for key, value in runs.iloc[0].to_dict().items()}
    place = folder.joinpath("runs", *(row[key] for key in keys.POINT), f"seed~{row['seed']}")
    if not (place / "model.nnc").is_file():
        raise ValueError(f"{place}/model.nnc: no such file, expected the runs beside the tables")
    record = json.loads((place / "run.json").read_text(encoding="utf-8"))
    return Result(place, row, record)


def _of(runs: pd.DataFrame, column: str, value: str, folder: Path) -> pd.DataFrame:
    own = runs[runs[column] == value]
    if own.empty:
        known = ", ".join(runs[column].unique())
        raise ValueError(f"{column} {value!r}: no such runs in {folder}, there are {known}")
    return own


def _point(runs: pd.DataFrame, which: str) -> str:
    """The operating point that a size, or its name, stands for."""
    if not (size := _SIZE.fullmatch(which)):
        return which
    most = float(size["number"]) * _BYTES[size["unit"]]
    points = runs.groupby("point", sort=False)[["size_bytes", "accuracy_validation"]].mean()
    fitting = points[points["size_bytes"] <= most]
    if fitting.empty:
        least = points["size_bytes"].min()
        raise ValueError(f"{which}: the smallest operating point takes {least:,.0f} bytes")
    # of equal ones the smaller
    order = fitting.sort_values(["accuracy_validation", "size_bytes"], ascending=[False, True])
    return str(order.index[0])
