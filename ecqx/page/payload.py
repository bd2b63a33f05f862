"""The collected results as the data of a page: what JSON can hold, numbers exactly as collected."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from ecqx.page import looks, maps
from ecqx.page.coding import base64_of
from ecqx.results import statistics, style
from ecqx.results.metrics import lower_is_better
from ecqx.results.variants import point_labels

COLORMAP = "RdBu_r"  # as in the gallery figure: red speaks for the class, blue against
_SERIES = ["explainer", "metric", "subset", "signed"]
_ANCHOR_LABELS = {
    "identical": "full precision itself",
    "retrained": "retrained from another seed",
    "random": "random network",
}
# column, label, factor from the table's unit to the shown one, logarithmic, +1 if more is better.
# A page always offers the first four; others where the table has values of them.
_AXES = (
    ("size_bytes", "Size [kB]", 1e-3, True, -1),
    ("compression_ratio", "Compression ratio", 1.0, True, 1),
    ("sparsity", "Sparsity [%]", 100.0, False, 1),
    ("accuracy", "Accuracy [%]", 100.0, False, 1),
    ("accuracy_change", "Accuracy minus full precision [points]", 100.0, False, 1),
    ("flips", "Changed predictions [%]", 100.0, False, -1),
    ("calibration_error", "Calibration error [points]", 100.0, False, -1),
    ("entropy_bytes", "Entropy bound [kB]", 1e-3, True, -1),
    ("train_s", "Time of compression [s]", 1.0, True, -1),
    ("peak_memory_bytes", "Peak memory of compression [MB]", 1e-6, True, -1),
)
_ALWAYS = 4
# Fronts are chosen by this column where an axis shows accuracy on test data.
_CHOOSES = "accuracy_validation"
_SHARES = ("accuracy", "sparsity", "flips")  # from 0 to 100 %
_CHOSEN = ("accuracy", "accuracy_change")


def payload(
    runs: pd.DataFrame, attributions: pd.DataFrame, methods: pd.DataFrame | None = None
) -> dict:
    """Everything that a page shows but the attribution maps.

    Parameters
    ----------
    runs, attributions : DataFrame, as runs.csv and attributions.csv. Attributions of runs that
        ``runs`` lacks are left out.
    methods : DataFrame, optional; as methods.csv, for what operating points are called.

    Returns
    -------
    dict
        ``count``; ``columns`` of ``runs`` in their order and ``derived`` ones, each ``{"f64":
        base64 of float64, NaN where undefined}`` or ``{"levels", "codes"}`` (-1 where undefined);
        ``tasks``, ``methods`` with their looks, ``axes``, ``explainers``, ``metrics``;
        ``series``, an array of float32 per explainer, metric, subset and signed, from run
        ``offset`` on, NaN where undefined, with its anchors as [anchor, task, seed, value];
        ``t``, at place n the factor from standard error to half width of the 95 % interval.

    Raises
    ------
    ValueError : a column is missing, a run or a row of attributions occurs twice, or a method's
        marker has no counterpart in a page.
    """
    needed = [*statistics.RUN, "bits", "status", "accuracy_fp32", "size_fp32_bytes", _CHOOSES]
    statistics.require_columns(runs, [*needed, *(axis[0] for axis in _AXES[:_ALWAYS])], "runs")
    statistics.require_columns(attributions, [*statistics.RUN, *_SERIES, "mean"], "attributions")
    statistics.require_distinct_runs(runs)
    runs = runs.reset_index(drop=True)
    points = list(zip(runs["method"], runs["point"], strict=True))
    words = point_labels(points, methods)
    derived = pd.DataFrame(
        {
            "accuracy_change": runs["accuracy"] - runs["accuracy_fp32"],
            "point_label": [words[point] for point in points],
        }
    )
    tasks = list(runs[statistics.TASK].drop_duplicates().itertuples(index=False, name=None))
    explainers = style.explainer_order(attributions["explainer"])
    metrics = style.metric_order(attributions["metric"])
    lower = lower_is_better()
    return {
        "count": len(runs),
        "columns": {name: _column(runs[name]) for name in runs.columns},
        "derived": {name: _column(derived[name]) for name in derived.columns},
        "tasks": [
            {"dataset": dataset, "model": model, "label": style.task_label(dataset, model)}
            for dataset, model in tasks
        ],
        "methods": looks.of_methods(runs["method"], statistics.trained(runs)),
        "axes": _axes(runs.join(derived)),
        "explainers": [{"name": name, "label": style.label(name)} for name in explainers],
        "metrics": [
            {
                "name": name,
                "label": style.label(name),
                "better": -1 if name in lower else 1,
            }
            for name in metrics
        ],
        "anchors": [
            {"name": name, "label": _ANCHOR_LABELS[name]} for name in statistics.ANCHORS
        ],
        "series": _series(runs, attributions, tasks),
        "t": _t_factors(runs["seed"].nunique()),
        "colormap": _colormap(),
    }  # fmt: skip


def run_numbers(runs: pd.DataFrame) -> dict[tuple[str, str, str, str, int], int]:
    """(dataset, model, method, point, seed) -> place of the run in the page."""
    keys = runs[statistics.RUN].itertuples(index=False, name=None)
    return {(*names, int(seed)): number for number, (*names, seed) in enumerate(keys)}


def _axes(runs: pd.DataFrame) -> list[dict]:
    axes = []
    for place, (column, label, factor, logarithmic, better) in enumerate(_AXES):
        known = column in runs and np.isfinite(runs[column].astype(float)).any()
        if known or place < _ALWAYS:
            axes.append(
                {
                    "column": column,
                    "label": label,
                    "factor": factor,
                    "log": logarithmic,
                    "better": better,
                    "share": column in _SHARES,
                    "chosen_by": _CHOOSES if column in _CHOSEN else column,
                }
            )
    return axes


def _series(runs: pd.DataFrame, attributions: pd.DataFrame, tasks: list) -> list[dict]:
    kinds = attributions.groupby(_SERIES, sort=False, observed=True).ngroup().to_numpy()
    anchor = attributions["method"].isin(statistics.ANCHORS).to_numpy()
    anchors = _anchors(attributions[anchor], kinds[anchor], tasks)
    # An index built once finds the run of each row several times as fast as a merge does.
    index = pd.MultiIndex.from_frame(runs[statistics.RUN])
    numbers = np.full(len(attributions), -1)
    numbers[~anchor] = index.get_indexer(
        pd.MultiIndex.from_frame(attributions.loc[~anchor, statistics.RUN])
    )
    rows = pd.DataFrame(
        {"kind": kinds, "number": numbers, "mean": attributions["mean"].to_numpy(float)}
    )[numbers >= 0]
    if (twice := rows.duplicated(["kind", "number"])).any():
        names = attributions.iloc[twice.idxmax()][[*statistics.RUN, *_SERIES]]
        raise ValueError(f"attributions: occurs twice: {'/'.join(map(str, names))}")
    first_rows = attributions.iloc[np.unique(kinds, return_index=True)[1]][_SERIES]
    result = []
    for kind, own in rows.groupby("kind"):
        explainer, metric, subset, signed = first_rows.iloc[kind]
        first, last = int(own["number"].min()), int(own["number"].max())
        values = np.full(last - first + 1, np.nan, dtype="<f4")
        values[own["number"].to_numpy() - first] = own["mean"]
        result.append(
            {
                "explainer": str(explainer),
                "metric": str(metric),
                "subset": str(subset),
                "signed": bool(signed),
                "offset": first,
                "f32": base64_of(values),
                "anchors": anchors.get(kind, []),
            }
        )
    return result


def _anchors(rows: pd.DataFrame, kinds: np.ndarray, tasks: list) -> dict[int, list[list]]:
    """Number of the series -> [anchor, task, seed, value] of each defined row of an anchor."""
    task_numbers = {task: number for number, task in enumerate(tasks)}
    numbers = {name: number for number, name in enumerate(statistics.ANCHORS)}
    result: dict[int, list[list]] = {}
    columns = rows[[*statistics.TASK, "method", "seed", "mean"]].itertuples(index=False, name=None)
    for kind, (dataset, model, method, seed, mean) in zip(kinds, columns, strict=True):
        task = task_numbers.get((dataset, model))
        if task is not None and np.isfinite(mean):
            entry = [numbers[method], task, int(seed), float(mean)]
            result.setdefault(int(kind), []).append(entry)
    return result


def _column(values: pd.Series) -> dict:
    if is_numeric_dtype(values) and not is_bool_dtype(values):
        return {"f64": base64_of(values.to_numpy("<f8", na_value=np.nan))}
    codes, levels = pd.factorize(values)
    return {"levels": [str(level) for level in levels], "codes": codes.tolist()}


def _t_factors(most: int) -> list[float | None]:
    """Half width of the interval over the standard error, by the number of values."""
    return [None, None] + [
        float(statistics.half_width(np.sqrt(n), n)) for n in range(2, max(2, most) + 1)
    ]


def _colormap() -> str:
    """Red, green and blue of each of the values -127 to 127 of a quantised map, as base64."""
    colors = matplotlib.colormaps[COLORMAP](np.linspace(0, 1, 2 * maps.PEAK + 1))
    return base64_of(np.rint(colors[:, :3] * 255).astype(np.uint8))
