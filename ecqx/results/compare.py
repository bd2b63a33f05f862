"""What differs between two folders of results, such as before and after, or own and reference.

    python -m ecqx.results.compare A B

Each folder holds ``runs.csv`` and, optionally, ``attributions.csv``, there or in ``tables/``, plain
or compressed (``.csv.gz``). Runs are paired by data set, model, method, operating point and seed. A
quantity *moved* if the 95 % t-interval of its paired differences over seeds excludes zero; with
fewer than two common seeds, or differences that are all alike, any difference is a move.

Prints, as Markdown, what moved (the largest differences against their half width first), which runs
ended otherwise, and what is missing on either side.

Exit status: 0 if nothing moved, changed its status or is missing; 1 if something did; 2 if a folder
cannot be read. Of quantities that only scatter, 1 in 20 lies outside its interval by chance: the
report says how many that would be.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ecqx.results import files, statistics

SAME, DIFFERENT, UNREADABLE = 0, 1, 2
QUANTITIES = ("accuracy", "size_bytes", "sparsity", "flips", "calibration_error")
_FULL_PRECISION = "full_precision"
_MEASURE = [*statistics.POINT, "explainer", "metric", "subset", "signed"]
_NOISE = 1e-12  # relative difference that another order of additions makes


@dataclass(frozen=True)
class Comparison:
    """Outcome of a comparison.

    Attributes
    ----------
    compared : DataFrame
        dataset, model, method, point, quantity; a_mean, b_mean, difference, half_width, n (common
        seeds), moved.
    statuses : DataFrame
        dataset, model, method, point, seed, status_a, status_b of the runs that ended otherwise.
    missing : DataFrame
        side ("A" or "B", where it is missing), what.
    """

    compared: pd.DataFrame
    statuses: pd.DataFrame
    missing: pd.DataFrame

    @property
    def moved(self) -> pd.DataFrame:
        """Rows of ``compared`` that moved, the clearest first."""
        moved = self.compared[self.compared["moved"]]
        with np.errstate(divide="ignore"):
            clarity = moved["difference"].abs() / moved["half_width"].fillna(np.inf)
        return moved.loc[clarity.sort_values(ascending=False, kind="stable").index]

    @property
    def different(self) -> bool:
        """Whether anything moved, ended otherwise or is missing."""
        return bool(len(self.moved) or len(self.statuses) or len(self.missing))


def compare(
    runs_a: pd.DataFrame,
    runs_b: pd.DataFrame,
    attributions_a: pd.DataFrame | None = None,
    attributions_b: pd.DataFrame | None = None,
) -> Comparison:
    """Compare two sets of collected results.

    Parameters
    ----------
    runs_a, runs_b : DataFrame, as runs.csv.
    attributions_a, attributions_b : DataFrame, optional; as attributions.csv. Compared if both are
        given; one without the other is missing.

    Raises
    ------
    ValueError : a column is missing, or a run or a measure occurs twice.
    """
    needed = [*statistics.RUN, "status", "accuracy", "accuracy_fp32", "size_bytes"]
    for name, runs in (("A", runs_a), ("B", runs_b)):
        statistics.require_columns(runs, needed, f"{name}: runs")
        statistics.require_distinct_runs(runs)
    missing = _missing(runs_a, runs_b, statistics.RUN, "run")
    paired = runs_a.merge(runs_b, on=statistics.RUN, suffixes=("_a", "_b"))
    ended_otherwise = paired["status_a"] != paired["status_b"]
    statuses = paired.loc[ended_otherwise, [*statistics.RUN, "status_a", "status_b"]]
    both_ok = paired[(paired["status_a"] == "ok") & (paired["status_b"] == "ok")]
    parts = [_full_precision(paired)]
    for quantity in QUANTITIES:
        if f"{quantity}_a" in paired and f"{quantity}_b" in paired:
            parts.append(_compared(both_ok, statistics.POINT, quantity))
        elif quantity in runs_a or quantity in runs_b:
            missing.append(("B" if quantity in runs_a else "A", f"column {quantity}"))
    if attributions_a is not None and attributions_b is not None:
        index = [*_MEASURE, "seed"]
        a, b = (
            _plain(name, frame) for name, frame in (("A", attributions_a), ("B", attributions_b))
        )
        for measure in ("explainer", "metric"):
            missing += _missing(a, b, [measure], measure)
        common = [set(a[name]) & set(b[name]) for name in ("explainer", "metric")]
        a, b = (
            frame[frame["explainer"].isin(common[0]) & frame["metric"].isin(common[1])]
            for frame in (a, b)
        )
        known = paired.loc[~ended_otherwise, statistics.RUN]
        missing += _missing(_of(a, known), _of(b, known), index, "measure")
        measured = a.merge(b, on=index, suffixes=("_a", "_b"))
        part = _compared(measured, _MEASURE, "mean")
        names = part["explainer"] + " " + part["metric"] + " (" + part["subset"]
        part["quantity"] = names + np.where(part["signed"], ", signed)", ", absolute)")
        parts.append(part.drop(columns=["explainer", "metric", "subset", "signed"]))
    elif attributions_a is not None or attributions_b is not None:
        missing.append(("A" if attributions_a is None else "B", "attributions.csv"))
    compared = pd.concat(parts, ignore_index=True)
    return Comparison(compared, statuses, pd.DataFrame(missing, columns=["side", "what"]))


def _plain(name: str, attributions: pd.DataFrame) -> pd.DataFrame:
    """The measures without categories, which would be compared by their sets of names."""
    index = [*_MEASURE, "seed"]
    statistics.require_columns(attributions, [*index, "mean"], f"{name}: attributions")
    plain = {column: object for column in index if column not in ("seed", "signed")}
    frame = attributions[[*index, "mean"]].astype(plain)
    if (twice := frame.duplicated(index)).any():
        measure = "/".join(map(str, frame.loc[twice, index].iloc[0]))
        raise ValueError(f"{name}: attributions: occurs twice: {measure}")
    return frame


def _of(attributions: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The measures of the given runs and of the anchors: others are missing as runs already."""
    anchors = attributions["method"].isin(statistics.ANCHORS)
    marked = attributions.merge(runs.assign(known=True), on=statistics.RUN, how="left")
    return attributions[anchors.to_numpy() | marked["known"].notna().to_numpy()]


def _missing(a: pd.DataFrame, b: pd.DataFrame, index: list[str], what: str) -> list[tuple]:
    """(side, name) of what only the other side has, in its order."""
    found = []
    for side, here, other in (("B", a, b), ("A", b, a)):
        names = here[index].drop_duplicates()
        known = names.merge(other[index].drop_duplicates().assign(known=True), on=index, how="left")
        for name in known.loc[known["known"].isna(), index].itertuples(index=False):
            found.append((side, f"{what} {'/'.join(map(str, name))}"))
    return found


def _full_precision(paired: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of the full-precision networks, one value per seed."""
    seeds = paired.groupby([*statistics.TASK, "seed"], sort=False, observed=True)
    seeds = seeds[["accuracy_fp32_a", "accuracy_fp32_b"]].first().reset_index()
    seeds = seeds.assign(method=_FULL_PRECISION, point=_FULL_PRECISION)
    result = _compared(seeds, statistics.POINT, "accuracy_fp32")
    return result.assign(quantity="accuracy")


def _compared(paired: pd.DataFrame, keys: list[str], quantity: str) -> pd.DataFrame:
    """Paired differences of one quantity over seeds, by ``keys``."""
    a, b = (paired[f"{quantity}_{side}"].astype(float) for side in ("a", "b"))
    both = a.notna() & b.notna()
    difference = b - a
    # Rounding is no difference.
    difference = difference.where(difference.abs() > _NOISE * np.maximum(a.abs(), b.abs()), 0.0)
    values = paired[keys].assign(a=a, b=b, difference=difference)[both]
    result = statistics.aggregate(values, keys, ["a", "b", "difference"])
    result = result.rename(
        columns={
            "difference_mean": "difference",
            "difference_half_width": "half_width",
            "difference_n": "n",
        }
    )
    # Without a half width a single pair is all there is to judge by.
    result["moved"] = result["difference"].abs() > result["half_width"].fillna(0)
    result.insert(len(keys), "quantity", quantity)
    return result[[*keys, "quantity", "a_mean", "b_mean", "difference", "half_width", "n", "moved"]]


def report(comparison: Comparison, name_a: str, name_b: str) -> str:
    """The comparison as Markdown."""
    compared, moved = comparison.compared, comparison.moved
    scattered = int((compared["half_width"] > 0).sum())
    unchanged = int((compared["difference"].eq(0) & compared["half_width"].fillna(0).eq(0)).sum())
    single = int((compared["n"] < 2).sum())
    lines = [
        "# Comparison",
        "",
        f"A: {name_a}",
        "",
        f"B: {name_b}",
        "",
        f"{len(compared)} quantities compared: {len(moved)} moved beyond their 95 % interval, "
        f"{unchanged} are the same in every seed. Of the {scattered} that scatter, about "
        f"{(1 - statistics.CONFIDENCE) * scattered:.0f} would lie outside by chance.",
    ]
    if single:
        lines += ["", f"{single} quantities have fewer than two common seeds: no interval."]
    if len(moved):
        lines += ["", "## Moved", ""]
        headers = ("Task", "Method", "Operating point", "Quantity", "A", "B", "B - A", "±", "n")
        lines += _table(headers, [_moved_cells(row) for row in moved.to_dict("records")])
    if len(comparison.statuses):
        lines += ["", "## Ended otherwise", ""]
        headers = ("Task", "Method", "Operating point", "Seed", "A", "B")
        rows = [
            [f"{row.dataset} / {row.model}", row.method, row.point, str(row.seed), row.status_a,
             row.status_b]
            for row in comparison.statuses.itertuples()
        ]  # fmt: skip
        lines += _table(headers, rows)
    for side in ("A", "B"):
        what = comparison.missing.loc[comparison.missing["side"] == side, "what"]
        if len(what):
            lines += ["", f"## Missing in {side}", "", *(f"- `{name}`" for name in what)]
    if not comparison.different:
        lines += ["", "No difference."]
    return "\n".join(lines) + "\n"


def _moved_cells(row: dict) -> list[str]:
    numbers = [f"{row[name]:.6g}" for name in ("a_mean", "b_mean")]
    width = "n/a" if np.isnan(row["half_width"]) else f"{row['half_width']:.3g}"
    task = f"{row['dataset']} / {row['model']}"
    names = [task, row["method"], row["point"], row["quantity"]]
    return [*names, *numbers, f"{row['difference']:+.3g}", width, str(row["n"])]


def _table(headers, rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    return [f"| {' | '.join(map(str.ljust, row, widths))} |" for row in (headers, rule, *rows)]


def _read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """runs.csv and, if there is one, attributions.csv of a folder."""
    path = files.find(folder, "runs")
    if path is None:
        raise ValueError(f"{folder}: no runs.csv or runs.csv.gz, there or in tables/")
    attributions = files.find(folder, "attributions")
    return files.read(path), None if attributions is None else files.read_attributions(attributions)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ecqx.results.compare",
        description="What differs between two folders of results.",
        epilog="Exit status: 0 if nothing differs beyond its interval, 1 if something does or is "
        "missing, 2 if a folder cannot be read.",
    )
    for name in ("A", "B"):
        parser.add_argument(name, type=Path, help="folder with runs.csv, or with tables/runs.csv")
    folders = parser.parse_args(arguments)
    try:
        (runs_a, attributions_a), (runs_b, attributions_b) = _read(folders.A), _read(folders.B)
        comparison = compare(runs_a, runs_b, attributions_a, attributions_b)
    except ValueError as error:
        print(error, file=sys.stderr)
        return UNREADABLE
    print(report(comparison, str(folders.A), str(folders.B)), end="")
    return DIFFERENT if comparison.different else SAME


if __name__ == "__main__":
    sys.exit(main())
