"""Which classes pay for compression: change of accuracy, and agreement, class by class."""

from __future__ import annotations

import pandas as pd

from ecqx.results import rendering, statistics
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.rendering import method_label

_NEEDED = [*statistics.RUN, "class", "n", "accuracy", "accuracy_fp32"]
_MEASURES = ["accuracy_fp32", "change", "beyond", "agreement"]
NOTE = (
    "Mean over the operating points of a method, which has its own grid: classes of one method are "
    "compared here, not methods. Full precision: accuracy of the class (recall; with several "
    "labels per sample, average precision). Change: against full precision of the same seed; "
    "beyond the others: minus the mean change of all classes in the same run, so that a class "
    "which pays more than its share is below 0. Agreement: share of the class's samples of which "
    "both networks decide the same, right or wrong. n: test samples of the class in one seed. "
)


def build(collected: Collected) -> pd.DataFrame:
    """Accuracy and agreement of each class, per method, over seeds.

    Returns
    -------
    DataFrame
        dataset, model, method, class; n (fewest of any seed); accuracy_fp32, change, beyond (change
        minus the mean change of all classes) and agreement, each as ``_mean``, ``_half_width`` and
        ``_n`` over seeds, of means over operating points; seeds (of the task). Agreement is missing
        where it was not collected.

    Raises
    ------
    Unavailable : the predictions per class were not collected.
    """
    predictions = collected.predictions
    if predictions is None or predictions.empty:
        raise Unavailable("predictions per class were not collected")
    statistics.require_columns(predictions, _NEEDED, "predictions")
    own = predictions.reindex(columns=[*_NEEDED, "agreement"])
    own["change"] = own["accuracy"] - own["accuracy_fp32"]
    of_run = own.groupby(statistics.RUN, observed=True)["change"].transform("mean")
    own["beyond"] = own["change"] - of_run
    keys = [*statistics.TASK, "method", "class"]
    own[_MEASURES] = own[_MEASURES].astype(float)
    of_seed = own.groupby([*keys, "seed"], observed=True)[_MEASURES].mean().reset_index()
    table = statistics.aggregate(of_seed, keys, _MEASURES)
    samples = own.groupby(keys, observed=True)["n"].min()
    table = table.merge(samples.reset_index(), on=keys, validate="one_to_one")
    table["seeds"] = collected.seeds_of(table)
    order = {name: place for place, name in enumerate(own["class"].unique())}
    table["place"] = table["class"].map(order)
    return collected.in_order(table, "method", "place").drop(columns="place")


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per task: a row per method and class."""
    headers = ["Method", "Class", "n", "Full precision [%]", "Change [points]",
               "Beyond the others [points]", "Agreement [%]"]  # fmt: skip
    sections = rendering.by_task(table, headers, _cells, names=2, repeated=1)
    return rendering.document("classes", table, NOTE, sections)


def _cells(row: dict) -> list[str]:
    def measure(name, signed):
        interval = tuple(row[f"{name}_{part}"] for part in ("mean", "half_width", "n"))
        return rendering.measure(interval, 100, 2, signed, row["seeds"])

    return [
        method_label(row["method"]),
        str(row["class"]),
        f"{row['n']:g}",
        measure("accuracy_fp32", False),
        measure("change", True),
        measure("beyond", True),
        measure("agreement", False),
    ]
