"""Does the source of relevance matter? ECQx with LRP against ECQx with its controls, and ECQ.

Runs are paired: the same seed, hence the same full-precision network, and the same constraint.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ecqx.results import keys, statistics

SOURCE = keys.parameter_column("relevance")
LAM = keys.parameter_column("lam")
_SETTING = [*statistics.TASK, "bits", LAM]
WITHOUT = "none (ECQ)"


def paired_differences(runs: pd.DataFrame, reference: str = "lrp") -> pd.DataFrame:
    """ECQx with one source minus ECQx with each other source, and minus ECQ, seed by seed.

    Parameters
    ----------
    runs : DataFrame, as runs.csv; of ECQ and ECQx, a run per data set, model, bits, lam, seed and
        source.
    reference : str, the source that the others are subtracted from.

    Returns
    -------
    DataFrame
        dataset, model, bits, p_lam, against (source, or "none (ECQ)"); accuracy of the reference;
        accuracy_difference, at the same lam; matched_difference, at the same size: the other's
        test accuracy is read along its front of that seed, bits and task, see
        :class:`statistics.Front` (undefined where it has no run within 10 % of the size); each as
        ``_mean``, ``_half_width`` (95 % t-interval over seeds) and ``_n``. size_ratio, the
        reference's size over the other's, as ``_geomean``, ``_low``, ``_high`` and ``_n``. Runs
        that are not ok are undefined and lower ``_n``.

    Raises
    ------
    ValueError : a column is missing, there is no run of the reference, or two runs share a cell
        (another hyper-parameter varies as well).
    """
    needed = [*_SETTING, "seed", "method", "status", "accuracy", "accuracy_validation",
              "size_bytes", SOURCE]  # fmt: skip
    statistics.require_columns(runs, needed, "runs")
    # a failed run that lacks its parameters has no counterpart
    runs = runs[runs["method"].isin(["ecq", "ecqx"]) & runs[LAM].notna()]
    runs = runs.assign(against=runs[SOURCE].where(runs["method"] == "ecqx", WITHOUT))
    cell = [*_SETTING, "seed", "against"]
    if runs.duplicated(cell).any():
        twice = runs.loc[runs.duplicated(cell), cell].iloc[0].to_dict()
        raise ValueError(f"runs: several of {twice}, expected one: another parameter varies")
    ok = runs["status"] == "ok"
    runs = runs.assign(accuracy=runs["accuracy"].where(ok), size_bytes=runs["size_bytes"].where(ok))
    own = runs[runs["against"] == reference]
    if own.empty:
        raise ValueError(f"runs: none of ecqx with relevance {reference!r}")
    rows = []
    for against, others in runs[runs["against"] != reference].groupby("against", sort=False):
        pairs = own.merge(others, on=[*_SETTING, "seed"], suffixes=("", "_other"))
        readers = {
            key: _reader(front) for key, front in others.groupby([*statistics.TASK, "bits", "seed"])
        }
        cells = pairs[[*statistics.TASK, "bits", "seed"]].itertuples(index=False, name=None)
        matched = [
            readers[cell](size) for cell, size in zip(cells, pairs["size_bytes"], strict=True)
        ]
        rows.append(
            pairs[[*_SETTING, "seed", "accuracy"]].assign(
                against=against,
                accuracy_difference=pairs["accuracy"] - pairs["accuracy_other"],
                matched_difference=pairs["accuracy"] - np.array(matched, dtype=float),
                size_ratio=pairs["size_bytes"] / pairs["size_bytes_other"],
            )
        )
    if not rows:
        raise ValueError(f"runs: nothing to compare {reference!r} with")
    paired, cell = pd.concat(rows), [*_SETTING, "against"]
    measures = ["accuracy", "accuracy_difference", "matched_difference"]
    table = statistics.aggregate(paired, cell, measures)
    ratios = statistics.aggregate_ratios(paired, cell, ["size_ratio"])
    return table.merge(ratios, on=cell, validate="one_to_one")


def _reader(runs: pd.DataFrame) -> Callable[[float], float]:
    """Size in bytes -> test accuracy along the front of these runs, NaN with none near it."""
    front = statistics.Front.of(runs["accuracy_validation"], runs["size_bytes"])
    accuracy = runs["accuracy"].to_numpy(float)[front.positions]
    return lambda size: front.read(accuracy, [size])[0] if front.near([size])[0] else np.nan


def to_markdown(table: pd.DataFrame) -> str:
    """The paired differences as Markdown, accuracies in points."""
    lines = [
        "# ECQx with LRP against its controls",
        "",
        "LRP minus control, mean ± half width of the 95 % t-interval over paired seeds, in "
        "percentage points of test accuracy: at the same lam, and at the same size. n: seeds at "
        "the same lam; at the same size in brackets, fewer where LRP's size lies outside the "
        "control's range. Size ratio: LRP over control.",
        "",
        "| Task | Bits | lam | Accuracy [%] | Against | Same lam | Same size | Size ratio | n |",
        "| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in table.rename(columns={LAM: "lam"}).itertuples(index=False):
        lines.append(
            f"| {row.dataset} / {row.model} | {row.bits:g} | {row.lam:g} "
            f"| {100 * row.accuracy_mean:.1f} | {row.against} "
            f"| {_points(row.accuracy_difference_mean, row.accuracy_difference_half_width)} "
            f"| {_points(row.matched_difference_mean, row.matched_difference_half_width)} "
            f"| {row.size_ratio_geomean:.3f} "
            f"| {row.accuracy_difference_n} ({row.matched_difference_n}) |"
        )
    return "\n".join(lines) + "\n"


def _points(mean: float, half_width: float) -> str:
    if not np.isfinite(mean):
        return "n/a"
    width = f" ± {100 * half_width:.1f}" if np.isfinite(half_width) else ""
    return f"{100 * mean:+.1f}{width}"
