"""Attribution maps in a page: a byte per position, as many as a budget allows.

Every map is divided by its own largest magnitude, as in the gallery figure, and rounded to one of
the 255 values k / 127, k from -127 to 127: the eye sees no difference, and a page of a benchmark's
worth of maps stays small enough to be sent around.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ecqx.page.coding import base64_of
from ecqx.results import style

PEAK = 127
UNDEFINED = -128  # a position that is not finite
BUDGET = 4_000_000  # characters of base64 for the maps of all runs together


@dataclass(frozen=True)
class Gallery:
    """Maps of the runs of one task and seed on the same samples.

    Attributes
    ----------
    dataset, model : str
    seed : int
    images : ndarray, shape (n, C, H, W); inputs; three channels are shown as colors, otherwise
        their mean in grey.
    classes : sequence of str, length n; the explained class of each sample.
    reference : mapping of str to ndarray, shape (n, H, W); explainer -> signed maps of the
        full-precision network.
    runs : mapping of (str, str) to mapping of str to ndarray, shape (n, H, W); (method, point) ->
        explainer -> signed maps of the compressed network.
    masks : ndarray of bool, shape (n, H, W), optional; ground truth, shown as an outline.

    Raises
    ------
    ValueError : a shape does not agree with that of the images; names the array.
    """

    dataset: str
    model: str
    seed: int
    images: np.ndarray
    classes: Sequence[str]
    reference: Mapping[str, np.ndarray]
    runs: Mapping[tuple[str, str], Mapping[str, np.ndarray]] = field(default_factory=dict)
    masks: np.ndarray | None = None

    def __post_init__(self) -> None:
        name = f"{self.dataset}/{self.model}"
        shape = np.shape(self.images)
        if len(shape) != 4 or shape[0] == 0:
            raise ValueError(f"{name}: images: shape {shape}, expected (n, C, H, W), n > 0")
        if len(self.classes) != shape[0]:
            raise ValueError(f"{name}: classes: {len(self.classes)} for {shape[0]} images")
        maps = {f"reference {key}": value for key, value in self.reference.items()}
        for (method, point), own in self.runs.items():
            maps |= {f"{method} {point} {key}": value for key, value in own.items()}
        if self.masks is not None:
            maps["masks"] = self.masks
        expected = (shape[0], *shape[2:])
        for key, value in maps.items():
            if np.shape(value) != expected:
                raise ValueError(f"{name}: {key}: shape {np.shape(value)}, expected {expected}")


def quantised(maps: np.ndarray) -> np.ndarray:
    """Each map divided by its own largest finite magnitude, in steps of 1 / 127.

    Parameters
    ----------
    maps : array_like, shape (n, H, W)

    Returns
    -------
    ndarray of int8, shape (n, H, W)
        -127 to 127; -128 where a value is not finite.
    """
    maps = np.asarray(maps, dtype=float)
    finite = np.isfinite(maps)
    known = np.where(finite, maps, 0.0)
    largest = np.abs(known).max(axis=(1, 2), keepdims=True)
    scaled = np.rint(known / np.where(largest > 0, largest, 1.0) * PEAK)
    return np.where(finite, scaled, UNDEFINED).astype(np.int8)


def fitting(galleries: Sequence[Gallery], budget: int = BUDGET) -> tuple[int, int]:
    """How many samples, and explainers of each task, of all runs fit into the budget.

    Samples are given up first, explainers when only one sample is left: a single sample shows
    less, but of everything.

    Parameters
    ----------
    galleries : sequence of Gallery
    budget : int, characters of base64, four for three bytes.

    Returns
    -------
    samples, explainers : int
        Both 0 if not even one map of each run fits, or there is none.
    """
    most_samples = max((len(part.classes) for part in galleries), default=0)
    most_explainers = max((len(part.reference) for part in galleries), default=0)

    def characters(samples: int, explainers: int) -> int:
        total = 0
        for part in galleries:
            *_, height, width = np.shape(part.images)
            kept = list(part.reference)[:explainers]
            count = sum(name in own for own in part.runs.values() for name in kept)
            # each array is coded on its own, and padded to a multiple of four characters
            total += count * 4 * -(-min(samples, len(part.classes)) * height * width // 3)
        return total

    for samples in range(most_samples, 0, -1):
        if characters(samples, most_explainers) <= budget:
            return samples, most_explainers
    for explainers in range(most_explainers - 1, 0, -1):
        if characters(1, explainers) <= budget:
            return 1, explainers
    return 0, 0


def embedded(
    galleries: Sequence[Gallery],
    run_numbers: Mapping[tuple[str, str, str, str, int], int],
    budget: int = BUDGET,
) -> list[dict]:
    """What a page holds of the galleries, arrays as base64.

    Parameters
    ----------
    galleries : sequence of Gallery
    run_numbers : mapping, (dataset, model, method, point, seed) -> number of the run in the page.
        Maps of runs that are absent here are left out.
    budget : int, characters of base64 for the maps of all runs together.

    Returns
    -------
    list of dict
        Per gallery dataset, model, seed, height, width, samples (kept) and samples_available,
        explainers_available, labels of the kept explainers, classes, channels, images (bytes,
        positions then channels), masks (bytes 0 or 1, or None), reference (explainer -> signed
        bytes), and runs (number of the run -> explainer -> signed bytes). Empty if the budget is
        too small for any.
    """
    samples, explainers = fitting(galleries, budget)
    if not samples:
        return []
    result = []
    for part in galleries:
        kept = list(part.reference)[:explainers]
        images = np.asarray(part.images, dtype=float)[:samples]
        _, _, height, width = images.shape
        images = images if images.shape[1] == 3 else images.mean(axis=1, keepdims=True)
        runs = {}
        for (method, point), own in part.runs.items():
            number = run_numbers.get((part.dataset, part.model, method, point, part.seed))
            if number is not None:
                runs[number] = {
                    name: base64_of(quantised(own[name][:samples])) for name in kept if name in own
                }
        result.append(
            {
                "dataset": part.dataset,
                "model": part.model,
                "seed": int(part.seed),
                "height": height,
                "width": width,
                "samples": len(images),
                "samples_available": len(part.classes),
                "explainers_available": len(part.reference),
                "labels": {name: style.label(name) for name in kept},
                "classes": [str(name) for name in part.classes[:samples]],
                "channels": images.shape[1],
                "images": base64_of(_brightness(images)),
                "masks": None if part.masks is None else base64_of(
                    np.asarray(part.masks[:samples], dtype=bool).astype(np.uint8)
                ),
                "reference": {
                    name: base64_of(quantised(part.reference[name][:samples])) for name in kept
                },
                "runs": runs,
            }
        )  # fmt: skip
    return result


def _brightness(images: np.ndarray) -> np.ndarray:
    """Each image stretched from 0 to 255, its channels last; what is not finite is black."""
    finite = np.isfinite(images)
    low = np.where(finite, images, np.inf).min(axis=(1, 2, 3), keepdims=True)
    high = np.where(finite, images, -np.inf).max(axis=(1, 2, 3), keepdims=True)
    span = np.where(high > low, high - low, 1.0)
    scaled = np.where(finite, (np.where(finite, images, 0.0) - low) / span * 255, 0.0)
    return np.moveaxis(np.rint(scaled).astype(np.uint8), 1, -1)
