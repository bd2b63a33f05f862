"""Recordings as files, one folder per class."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecqx.tasks.own_data import _folders
from ecqx.tasks.own_data._source import Source as _Source
from ecqx.tasks.own_data._source import check_choice, check_integer, check_number

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from ecqx.tasks.data import Dataset

SUFFIXES = (".wav", ".flac", ".ogg")
_SLOWEST = 8_000  # Hz, of telephones
_SHORTEST = 0.1  # seconds
_AT_A_TIME = 256  # clips
_FURTHEST_SHIFT = 5  # frames, 100 ms
_FEATURE_NOISE = 0.2  # in standard deviations of a coefficient


@dataclass(frozen=True)
class Source(_Source):
    """A folder of mono recordings per class, in ``path`` or in ``path``/train, validation and test.

    What has no folder (validation, test, or both) is drawn from the training recordings at random:
    speaker by speaker if file names tell the speaker, otherwise class by class. Features are 15
    MFCCs in windows of 40 ms every 20 ms, standardised by the mean and deviation of each
    coefficient over the training recordings.

    Parameters
    ----------
    sample_rate : int, at least 8000
        Hz. All files must have it; nothing is resampled.
    seconds : float, at least 0.1
        Length of a clip: shorter recordings are padded with zeros, longer ones cut.
    speaker : str, optional
        A regular expression with one group, searched in the file name; the group is the speaker,
        who is then heard in one split only. It must be found in every name.
    augmentation : "none" or "shift_noise"
        Of the training clips: shifts in time by up to 100 ms, and noise on the features.
    validation, test : float
        Shares of the training recordings for the splits that have no folder.
    """

    sample_rate: int = 16_000
    seconds: float = 1.0
    speaker: str | None = None
    augmentation: str = "none"
    validation: float = 0.1
    test: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("sample_rate", self.sample_rate, _SLOWEST)
        check_number("seconds", self.seconds, _SHORTEST)
        check_choice("augmentation", self.augmentation, ("none", "shift_noise"))
        _folders.check_shares(self.validation, self.test)
        if self.speaker is not None:
            _check_pattern(self.speaker)

    @property
    def augment(self) -> Callable[[Tensor, Generator], Tensor] | None:
        return _shift_and_blur if self.augmentation == "shift_noise" else None

    def check(self, root: Path | None) -> None:
        import soundfile

        from ecqx.tasks.recordings import check_format

        listing = _folders.list_files(self.locate(root), SUFFIXES)
        looked_at = set()
        for split, files in listing.splits.items():
            for path, label in files:
                if self.speaker is not None:
                    self._speaker_of(path)
                # a look at one file of each class finds what is wrong with all of them
                if (split, label) not in looked_at:
                    looked_at.add((split, label))
                    try:
                        found = soundfile.info(str(path))
                    except soundfile.SoundFileError as error:
                        raise ValueError(f"{path}: cannot be read as audio: {error}") from error
                    check_format(path, found.samplerate, found.channels, self.sample_rate)

    def prepare(self, seed: int, root: Path | None = None) -> Dataset:
        import torch

        from ecqx.seeding import generator
        from ecqx.tasks import audio
        from ecqx.tasks.data import Dataset, Split

        listing = _folders.list_files(self.locate(root), SUFFIXES)
        splits = _folders.complete_splits(
            listing,
            {"validation": self.validation, "test": self.test},
            generator("audio_folder", seed),
            self._speaker_of if self.speaker is not None else None,
        )
        features = {
            name: self._features([path for path, _ in files]) for name, files in splits.items()
        }
        mean, deviation = audio.feature_statistics(features["train"])
        parts = {
            name: Split(
                # a coefficient without variation stays at zero
                (features[name] - mean) / deviation.clamp(min=1e-6),
                torch.tensor([label for _, label in files]),
            )
            for name, files in splits.items()
        }
        return Dataset(name=self.name, classes=listing.classes, **parts)

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
            raise ValueError(f"{path}: the name does not tell the speaker ({self.speaker!r})")
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
