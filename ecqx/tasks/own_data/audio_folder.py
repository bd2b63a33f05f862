"""Recordings as files, one folder per class."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ecqx.tasks.own_data import _folders
from ecqx.tasks.own_data._scaling import check_normalisation
from ecqx.tasks.own_data._source import Source as _Source
from ecqx.tasks.own_data._source import check_choice, check_integer, check_number, naming

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from ecqx.tasks.data import Dataset

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff")
_COEFFICIENTS = 15
_RATES = (8_000, 768_000)  # Hz, from telephones to ultrasound
_LENGTHS = (0.1, 3_600.0)  # seconds
_AT_A_TIME = 256  # clips
_FURTHEST_SHIFT = 5  # frames, 100 ms
_FEATURE_NOISE = 0.2  # in standard deviations of a coefficient


@dataclass(frozen=True)
class Source(_Source):
    """A folder of mono recordings per class, in ``path`` or in ``path``/train, validation and test.

    What has no folder (validation, test, or both) is drawn from the training recordings at random:
    speaker by speaker if file names contain the speaker, otherwise class by class. Features are 15
    MFCCs in windows of 40 ms every 20 ms, normalised coefficient by coefficient.

    Parameters
    ----------
    sample_rate : int, 8000 to 768000; Hz. All files must have it; nothing is resampled.
    seconds : float, 0.1 to 3600; length of a clip: shorter recordings are padded with zeros,
        longer ones cut.
    speaker : str, optional; a regular expression with one group, searched in the file name; the
        group is the speaker, who is then heard in one split only. It must be found in every name.
    normalisation : "dataset", by mean and deviation over the training recordings; "none"; or a
        mapping with ``mean`` and ``std``, each a number or a list of one per coefficient: those
        that a network was trained with.
    augmentation : "none" or "shift_noise", of the training clips: shifts in time by up to 100 ms,
        and noise on the features.
    validation, test : float, shares of the training recordings for the splits that have no folder.
    """

    ROWS_DIFFER: ClassVar[bool] = True  # coefficients

    sample_rate: int = 16_000
    seconds: float = 1.0
    speaker: str | None = None
    normalisation: str | Mapping[str, Any] = "dataset"
    augmentation: str = "none"
    validation: float = 0.1
    test: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("sample_rate", self.sample_rate, *_RATES)
        check_number("seconds", self.seconds, *_LENGTHS)
        check_normalisation(self.normalisation, _COEFFICIENTS)
        check_choice("augmentation", self.augmentation, ("none", "shift_noise"))
        if self.augmentation == "shift_noise" and self.normalisation == "none":
            raise ValueError(
                "augmentation: got 'shift_noise', whose noise is in standard deviations, expected "
                "another normalisation than none"
            )
        _folders.check_shares(self.validation, self.test)
        if self.speaker is not None:
            _check_pattern(self.speaker)

    @property
    def augment(self) -> Callable[[Tensor, Generator], Tensor] | None:
        return _shift_and_blur if self.augmentation == "shift_noise" else None

    def check(self, root: Path | None) -> None:
        from ecqx.tasks import recordings

        listing = _folders.list_files(self.locate(root), SUFFIXES)
        for path in listing.first_files():
            recordings.check(path, self.sample_rate)
        _folders.check_split(listing, self._shares, self._group_of)

    def unread(self, root: Path | None) -> str | None:
        return _folders.list_files(self.locate(root), SUFFIXES).told()

    def prepare(self, seed: int, root: Path | None = None) -> Dataset:
        import torch

        from ecqx.seeding import generator
        from ecqx.tasks.data import Dataset, Split
        from ecqx.tasks.own_data._scaling import scale

        folder = self.locate(root)
        listing = _folders.list_files(folder, SUFFIXES)
        rng = generator("audio_folder", seed)
        splits = _folders.complete_splits(listing, self._shares, rng, self._group_of)
        features = {
            name: self._features([path for path, _ in files]) for name, files in splits.items()
        }
        mean, deviation = scale(self.normalisation, features["train"], (0, 1, 3))
        with naming(folder):
            parts = {
                name: Split(
                    (features[name] - mean) / deviation, torch.tensor([label for _, label in files])
                )
                for name, files in splits.items()
            }
            return Dataset(name=self.name, classes=listing.classes, **parts)

    @property
    def _shares(self) -> dict[str, float]:
        return {"validation": self.validation, "test": self.test}

    @property
    def _group_of(self) -> Callable[[Path], str] | None:
        return self._speaker_of if self.speaker is not None else None

    def _features(self, paths: list[Path]) -> Tensor:
        import torch

        from ecqx.tasks import audio, recordings

        n_samples = round(self.seconds * self.sample_rate)
        parts = []
        for start in range(0, len(paths), _AT_A_TIME):
            clips = [
                recordings.read_clip(path, self.sample_rate, n_samples)
                for path in paths[start : start + _AT_A_TIME]
            ]
            parts.append(audio.mfcc(torch.stack(clips), self.sample_rate))
        return torch.cat(parts)

    def _speaker_of(self, path: Path) -> str:
        match = re.search(self.speaker, path.name)
        if match is None or match[1] is None:
            raise ValueError(
                f"{path}: the name does not match the speaker pattern {self.speaker!r}"
            )
        return match[1]


def _check_pattern(pattern: object) -> None:
    try:
        groups = re.compile(pattern).groups
    except (re.error, TypeError) as error:
        raise ValueError(
            f"speaker: got {pattern!r}, expected a regular expression: {error}"
        ) from error
    if groups != 1:
        raise ValueError(
            f"speaker: got {pattern!r} with {groups} groups, expected one pair of parentheses"
        )


def _shift_and_blur(x: Tensor, rng: Generator) -> Tensor:
    from ecqx.tasks.audio import shift_and_blur

    return shift_and_blur(x, _FURTHEST_SHIFT, _FEATURE_NOISE, rng)
