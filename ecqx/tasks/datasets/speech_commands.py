"""Speech Commands v0.02 with twelve classes [warden2018commands].

Recordings of people, one second at 16 kHz: ten keywords, silence and unknown. Training, validation
and test are the published lists, which share no speaker. Silence and unknown each add a tenth of
the number of keyword clips to a split, the default of TensorFlow's speech commands example: unknown
clips are drawn from the other 25 words, silence is background noise at a random volume, from the
same recordings in all splits. Where the data folder also holds the published test set of twelve
classes, which was made from the same testing list
(:mod:`ecqx.tasks.datasets.speech_commands_test`), that one is the test split.

Features, 15 MFCCs x 49 frames, are computed once. Background noise is therefore mixed into the
training clips once, before that (volume up to 0.1 in 80 % of the clips, as the example does every
time); what varies from epoch to epoch is the place in time, by up to 100 ms as there, and noise on
the features.

Read from disk; CC BY 4.0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from ecqx.seeding import generator
from ecqx.tasks import audio, recordings
from ecqx.tasks.audio import CLASSES, KEYWORDS
from ecqx.tasks.data import Dataset, Split
from ecqx.tasks.datasets import speech_commands_test as published_test
from ecqx.tasks.download import Archive

N_CLIPS = 105_829
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
BACKGROUND = "_background_noise_"
ROWS_DIFFER = True  # coefficients

# the bucket behind download.tensorflow.org, by HTTPS
ARCHIVE = Archive(
    url="https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
    digest="af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
    # as torchaudio.datasets.SPEECHCOMMANDS unpacks it
    folder="SpeechCommands/speech_commands_v0.02",
    content=(*LISTS.values(), BACKGROUND, *KEYWORDS),
    inside=".",
)

_SHARE = 0.1  # of silence as of unknown, relative to the keyword clips of a split
_NOISY = 0.8  # share of the training clips
_LOUDEST_NOISE = 0.1  # relative to the recorded background
_FURTHEST_SHIFT = 5  # frames, 100 ms
_FEATURE_NOISE = 0.2  # in standard deviations of a coefficient
_AT_A_TIME = 256  # clips; all samples together would take gigabytes


def missing(root: Path | None) -> str | None:
    """What to put where, in one line, if the data set is not in the folder ``root``."""
    return ARCHIVE.missing("speech_commands", root)


def prepare(seed: int, root: Path | None = None) -> Dataset:
    """The published splits.

    Parameters
    ----------
    seed : int, decides which unknown clips are used, and on the background noise.
    root : Path, the folder that holds the archive, or ``SpeechCommands/speech_commands_v0.02`` as
        torchaudio unpacks it, and the published test set if it is to be used.

    Raises
    ------
    FileNotFoundError : the data set is not there.
    OSError : the archive is damaged; it is named.
    ValueError : clips are too few or too many, a listed one is missing or in both lists, or one is
        no audio, cut off or not mono at 16 kHz; it is named.
    """
    if reason := missing(root):
        raise FileNotFoundError(reason)
    folder = ARCHIVE.unpacked(root)
    background = [recordings.read(path) for path in sorted(_clips(folder / BACKGROUND))]
    if min(map(len, background), default=0) < audio.CLIP_SAMPLES:
        raise ValueError(f"{folder / BACKGROUND}: expected recordings of one second and more")
    clips = published_splits(folder)
    test_set = published_test.find(root)
    if test_set is not None:
        del clips["test"]
    features, labels = {}, {}
    for name, paths in clips.items():
        rng = generator("speech_commands", name, seed)
        chosen, labels[name] = choose(paths, rng)
        loudest = _LOUDEST_NOISE if name == "train" else 0.0
        features[name] = _features(chosen, background, loudest, rng)
    if test_set is not None:
        published = published_test.read_clips(test_set)
        features["test"] = audio.mfcc(torch.stack([clip.samples for clip in published]))
        labels["test"] = torch.tensor([clip.label for clip in published])
    mean, deviation = audio.feature_statistics(features["train"])
    splits = {name: Split((x - mean) / deviation, labels[name]) for name, x in features.items()}
    return Dataset(name="speech_commands", classes=CLASSES, **splits)


def augment(x: Tensor, rng: torch.Generator) -> Tensor:
    """Shift every sample in time by up to 100 ms and add noise to its features."""
    return audio.shift_and_blur(x, _FURTHEST_SHIFT, _FEATURE_NOISE, rng)


def published_splits(folder: Path) -> dict[str, list[Path]]:
    """Files of training, validation and test, each sorted; training is what neither list names.

    Raises
    ------
    ValueError : there are too few or too many files, or a listed one is missing or in both lists.
    """
    found = {
        clip
        for word in folder.iterdir()
        if word.is_dir() and word.name != BACKGROUND and not word.name.startswith(".")
        for clip in _clips(word)
    }
    listed = {
        name: {folder / line for line in (folder / file).read_text("utf-8").split()}
        for name, file in LISTS.items()
    }
    for name, paths in listed.items():
        if absent := sorted(paths - found):
            raise ValueError(f"{absent[0]}: in {LISTS[name]}, but there is no such file")
    if both := sorted(listed["validation"] & listed["test"]):
        raise ValueError(f"{both[0]}: in {' and in '.join(LISTS.values())}, expected one of them")
    if len(found) != N_CLIPS:
        raise ValueError(
            f"{folder}: holds {len(found)} clips, expected {N_CLIPS}; "
            f"download it again from {ARCHIVE.url}"
        )
    splits = {"train": found.difference(*listed.values()), **listed}
    return {name: sorted(paths) for name, paths in splits.items()}


def _clips(folder: Path) -> Iterator[Path]:
    """Its WAV files, but not what macOS leaves beside them (``._name.wav``)."""
    return (path for path in folder.glob("*.wav") if not path.name.startswith("."))


def choose(paths: Iterable[Path], rng: torch.Generator) -> tuple[list[Path | None], Tensor]:
    """The clips of a split by class, None for silence, and their int64 labels.

    All clips of keywords; of unknown words (drawn without replacement) and of silence a tenth of
    their number each, rounded up.
    """
    paths = list(paths)
    chosen: list[Path | None] = [path for word in KEYWORDS for path in paths
                                 if path.parent.name == word]  # fmt: skip
    labels = [KEYWORDS.index(path.parent.name) for path in chosen]
    others = [path for path in paths if path.parent.name not in KEYWORDS]
    extra = math.ceil(_SHARE * len(chosen))
    drawn = torch.randperm(len(others), generator=rng)[:extra].sort().values.tolist()
    chosen += [None] * extra + [others[index] for index in drawn]
    labels += [CLASSES.index("_silence_")] * extra + [CLASSES.index("_unknown_")] * len(drawn)
    return chosen, torch.tensor(labels)


def _features(
    paths: list[Path | None], background: list[Tensor], loudest: float, rng: torch.Generator
) -> Tensor:
    """MFCCs of the clips over noise of volume up to ``loudest``, of silence up to 1."""
    parts = []
    for start in range(0, len(paths), _AT_A_TIME):
        part = paths[start : start + _AT_A_TIME]
        n = len(part)
        silent = torch.tensor([path is None for path in part])
        volume = torch.rand(n, generator=rng)
        noisy = torch.rand(n, generator=rng) < _NOISY
        volume = torch.where(silent, volume, loudest * noisy * volume)
        clips = torch.stack(
            [torch.zeros(audio.CLIP_SAMPLES) if path is None else recordings.read_clip(path)
             for path in part]
        )  # fmt: skip
        clips += volume[:, None] * _cut(background, n, rng)
        parts.append(audio.mfcc(clips.clamp(-1, 1)))
    return torch.cat(parts)


def _cut(background: list[Tensor], n: int, rng: torch.Generator) -> Tensor:
    """``n`` seconds of the recordings, each from a random place of a random one, (n, 16000)."""
    cuts = []
    for which, place in zip(
        torch.randint(len(background), (n,), generator=rng).tolist(),
        torch.rand(n, generator=rng).tolist(),
        strict=True,
    ):
        start = int(place * (len(background[which]) - audio.CLIP_SAMPLES + 1))
        cuts.append(background[which][start : start + audio.CLIP_SAMPLES])
    return torch.stack(cuts)
