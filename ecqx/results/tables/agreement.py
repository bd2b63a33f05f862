"""How far predictions agree with full precision: flips, calibration, and the class hit hardest."""

from __future__ import annotations

import pandas as pd

from ecqx.results import rendering, statistics
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.rendering import method_label

_PREDICTION_COLUMNS = [*statistics.RUN, "class", "n", "accuracy", "accuracy_fp32"]
NOTE = (
    "Flips: share of test samples whose prediction differs from full precision's; two networks of "
    "equal accuracy can differ in many. Calibration error: mean distance between confidence and "
    "accuracy, over 15 bins of confidence; its change against full precision of the same seed, "
    "less is better. Hardest hit class: the class whose accuracy (recall; with several labels per "
    "sample, average precision) falls furthest against full precision of the same seed, in the "
    "mean over seeds; its n is the test samples of that class in one seed. The hardest hit of many "
    "classes lies below the mean change even if all fall alike. Diverged: not in the means. "
)


def build(collected: Collected) -> pd.DataFrame:
    """Agreement of each operating point with full precision, over seeds.

    Returns
    -------
    DataFrame
        dataset, model, method, point; accuracy_change, flips, calibration_error and
        calibration_change as ``_mean``, ``_half_width`` and ``_n``; worst_class,
        worst_class_samples (fewest of any seed), worst_class_change as ``_mean``, ``_half_width``
        and ``_n``; runs, diverged, skipped, failed; seeds (of the task). What was not collected is
        missing.

    Raises
    ------
    Unavailable : neither flips nor the predictions per class were collected.
    """
    runs, predictions = collected.runs, collected.predictions
    if "flips" not in runs.columns and (predictions is None or predictions.empty):
        raise Unavailable("neither flips nor predictions per class were collected")
    table = statistics.aggregate_points(runs)
    kept = [*statistics.POINT, "accuracy_change_mean", "accuracy_change_half_width",
            "accuracy_change_n", *statistics.COUNTED]  # fmt: skip
    table = table[kept]
    measured = _measured(runs)
    own = statistics.aggregate(
        runs[statistics.RUN].join(measured), statistics.POINT, list(measured.columns)
    )
    table = table.merge(own, on=statistics.POINT, validate="one_to_one")
    worst = _worst_classes(predictions)
    table = table.merge(worst, on=statistics.POINT, how="left", validate="one_to_one")
    table["seeds"] = collected.seeds_of(table)
    order = {point: place for place, point in enumerate(runs["point"].unique())}
    table["place"] = table["point"].map(order)
    return collected.in_order(table, "method", "place").drop(columns="place")


def _measured(runs: pd.DataFrame) -> pd.DataFrame:
    """Flips and calibration of each run that has a network; NaN where they were not collected."""
    names = ["flips", "calibration_error", "calibration_error_fp32"]
    values = runs.reindex(columns=names).astype(float).where(runs["status"] == "ok")
    change = values["calibration_error"] - values.pop("calibration_error_fp32")
    return values.assign(calibration_change=change)


def _worst_classes(predictions: pd.DataFrame | None) -> pd.DataFrame:
    """The class of each point whose accuracy falls furthest."""
    values = [f"worst_class_change_{part}" for part in ("mean", "half_width", "n")]
    columns = [*statistics.POINT, "worst_class", "worst_class_samples", *values]
    if predictions is None or predictions.empty:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in columns})
    statistics.require_columns(predictions, _PREDICTION_COLUMNS, "predictions")
    change = predictions["accuracy"] - predictions["accuracy_fp32"]
    keys = [*statistics.POINT, "class"]
    own = predictions[[*keys, "n"]].assign(worst_class_change=change)
    classes = statistics.aggregate(own, keys, ["worst_class_change"])
    samples = own.groupby(keys, observed=True)["n"].min().rename("worst_class_samples")
    classes = classes.merge(samples.reset_index(), on=keys)
    classes = classes.sort_values(["worst_class_change_mean", "class"], kind="stable")
    worst = classes.drop_duplicates(statistics.POINT).rename(columns={"class": "worst_class"})
    return worst.assign(worst_class=worst["worst_class"].astype(str))[columns]


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: a row per operating point."""
    headers = ["Method", "Operating point", "Accuracy change [points]", "Flips [%]",
               "Calibration error [points]", "Calibration change [points]",
               "Hardest hit class", "Its change [points]", "Its n", "Diverged"]  # fmt: skip
    sections = rendering.by_task(table, headers, _cells, names=2, repeated=1)
    return rendering.document("agreement", table, NOTE, sections)


def _cells(row: dict) -> list[str]:
    def measure(name, signed):
        interval = tuple(row[f"{name}_{part}"] for part in ("mean", "half_width", "n"))
        return rendering.measure(interval, 100, 2, signed, row["seeds"])

    known = isinstance(row["worst_class"], str)
    return [
        method_label(row["method"]),
        row["point"],
        measure("accuracy_change", True),
        measure("flips", False),
        measure("calibration_error", False),
        measure("calibration_change", True),
        row["worst_class"] if known else rendering.EMPTY,
        measure("worst_class_change", True) if known else rendering.EMPTY,
        f"{row['worst_class_samples']:g}" if known else rendering.EMPTY,
        rendering.without_result(row, told=("failed",)),
    ]
