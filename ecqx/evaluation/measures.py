"""Every measure of a network's maps, sample by sample, and the mean of each over the samples.

Consistency compares with the maps of full precision, localisation with a ground truth, complexity
with nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ecqx.evaluation.complexity import COMPLEXITIES
from ecqx.evaluation.consistency import METRICS
from ecqx.evaluation.localisation import LOCALISATIONS
from ecqx.evaluation.maps import informative


@dataclass(frozen=True)
class Measure:
    """One metric of the maps of one explainer.

    Attributes
    ----------
    explainer, metric : str
    signed : bool; False: computed on the maps' magnitudes.
    values : Tensor, float64, shape (n,)
    defined : Tensor, bool, shape (n,); where a value counts. For consistency that is where the
        reference map is not degenerate: where full precision has no explanation, none can be kept.
        Since this depends on the reference alone, all networks compared with it are judged on the
        same samples. A network's own degenerate map counts, with the value that the metric declares
        for it. For localisation it is where the mask is neither empty nor full. Complexity is
        defined everywhere.
    degenerate : Tensor, bool, shape (n,); where the network's map is degenerate.
    """

    explainer: str
    metric: str
    signed: bool
    values: Tensor
    defined: Tensor
    degenerate: Tensor


def measure_maps(
    maps: Mapping[str, Tensor],
    reference_maps: Mapping[str, Tensor],
    mask: Tensor | None = None,
    metrics: Sequence[str] | None = None,
) -> list[Measure]:
    """Every metric of the maps of every explainer, on signed maps and on their magnitudes.

    Parameters
    ----------
    maps, reference_maps : mapping of str to Tensor, explainer -> maps, shape (n, H, W); of the
        network and of full precision.
    mask : Tensor, bool, shape (n, H, W), optional; ground truth for localisation; without it there
        is nothing of it.
    metrics : sequence of str, optional; names in ``METRICS``, ``LOCALISATIONS`` and
        ``COMPLEXITIES``; all by default.

    Raises
    ------
    ValueError : a metric is unknown, or the reference lacks the maps of an explainer.
    """
    every = [*METRICS, *LOCALISATIONS, *COMPLEXITIES]
    metrics = every if metrics is None else known_names(metrics, every)
    if lacking := [name for name in maps if name not in reference_maps]:
        raise ValueError(f"the reference has no maps of {', '.join(lacking)}")
    found = []
    for explainer, own in maps.items():
        reference = reference_maps[explainer]
        signed_values = _measured(own, reference, mask, metrics)
        unsigned_values = signed_values
        if bool((own < 0).any()) or bool((reference < 0).any()):
            unsigned_values = _measured(own.abs(), reference.abs(), mask, metrics)
        for signed, measured in ((True, signed_values), (False, unsigned_values)):
            found += [Measure(explainer, name, signed, *of) for name, of in measured.items()]
    return found


def attribution_rows(
    measures: Iterable[Measure], correct: Tensor, reference_correct: Tensor
) -> list[dict]:
    """Mean and spread of every measure over the samples where it is defined.

    Parameters
    ----------
    measures : iterable of Measure, see `measure_maps`.
    correct, reference_correct : Tensor, bool, shape (n,); where the network, and the full-precision
        network, predict the class that is explained.

    Returns
    -------
    list[dict]
        Keys: explainer, metric, subset ("all", "both_correct"), signed, mean, std (sample standard
        deviation over samples), n (samples that count), degenerate (those among them whose map of
        the network is degenerate and got the value that the metric declares for it). `mean` is NaN
        if n is 0, `std` if n is below 2.
    """
    subsets = {"all": torch.ones_like(correct), "both_correct": correct & reference_correct}
    rows = []
    for measure in measures:
        for subset, members in subsets.items():
            counted = members & measure.defined
            rows.append(
                {
                    "explainer": measure.explainer,
                    "metric": measure.metric,
                    "subset": subset,
                    "signed": measure.signed,
                    **moments(measure.values[counted]),
                    "degenerate": int((counted & measure.degenerate).sum()),
                }
            )
    return rows


def attribution_samples(
    measures: Sequence[Measure], pairs: Mapping[str, np.ndarray], both_correct: Tensor
) -> dict[str, np.ndarray]:
    """What `attribution_rows` are the means of.

    Parameters
    ----------
    measures : sequence of Measure, see `measure_maps`.
    pairs : mapping of str to ndarray, shape (n,); what tells the explained pairs apart.
    both_correct : Tensor, bool, shape (n,); where both networks predict the class explained.

    Returns
    -------
    dict of str to ndarray
        Columns of n values per measure: those of `pairs`, explainer, metric, signed, value
        (float32, NaN where it is not defined), degenerate and both_correct (bool).
    """
    keys = ("explainer", "metric", "signed")
    labels = [{key: getattr(measure, key) for key in keys} for measure in measures]
    values = [measure.values.where(measure.defined, math.nan) for measure in measures]
    return long_table(pairs, labels, values) | {
        "degenerate": _joined([measure.degenerate for measure in measures], bool),
        "both_correct": np.tile(both_correct.numpy(), len(measures)),
    }


def long_table(
    pairs: Mapping[str, np.ndarray], labels: Sequence[Mapping], values: Sequence[Tensor]
) -> dict[str, np.ndarray]:
    """Values of samples below each other: a row per sample for each entry of `labels`.

    Parameters
    ----------
    pairs : mapping of str to ndarray, shape (n,); columns that tell the samples apart.
    labels : sequence of mappings with the same keys, one per entry of `values`.
    values : sequence of Tensor, shape (n,)

    Returns
    -------
    dict of str to ndarray
        The columns of `pairs`, those of the labels, and value (float32).
    """
    n = len(next(iter(pairs.values())))
    columns = {name: np.tile(column, len(labels)) for name, column in pairs.items()}
    for key in labels[0] if labels else ():
        columns[key] = np.repeat(np.array([label[key] for label in labels]), n)
    return columns | {"value": _joined(values, np.float32)}


def moments(values: Tensor) -> dict[str, float | int]:
    """Mean, std (of a sample) and n of values (n,); NaN where there are too few."""
    n = len(values)
    return {
        "mean": values.mean().item() if n else math.nan,
        "std": values.std().item() if n > 1 else math.nan,
        "n": n,
    }


def known_names(names: Iterable[str], registry: Iterable[str]) -> list[str]:
    """The names as a list.

    Raises
    ------
    ValueError : one of them is not in the registry.
    """
    names, registry = list(names), list(registry)
    if unknown := [name for name in names if name not in registry]:
        raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(registry)}")
    return names


def _measured(
    own: Tensor, reference: Tensor, mask: Tensor | None, metrics: Sequence[str]
) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Metric -> value of every sample, where it is defined, and where the network's map degenerate.

    Without masks there is nothing of localisation.
    """
    measured = {}
    for metric in metrics:
        if metric in METRICS:
            values = METRICS[metric].fn(own, reference)
            measured[metric] = (values, informative(reference), ~informative(own))
        elif metric in COMPLEXITIES:
            values = COMPLEXITIES[metric].fn(own)
            measured[metric] = (values, ~values.isnan(), ~COMPLEXITIES[metric].informative(own))
        elif mask is not None:
            values = LOCALISATIONS[metric].fn(own, mask)
            measured[metric] = (values, ~values.isnan(), ~LOCALISATIONS[metric].informative(own))
    return measured


def _joined(parts: Sequence[Tensor], dtype: type) -> np.ndarray:
    return torch.cat(list(parts)).numpy().astype(dtype) if parts else np.empty(0, dtype)
