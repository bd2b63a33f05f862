"""The test set of Speech Commands v0.02 [warden2018commands], split by speaker.

Recordings of people: ten keywords, silence and unknown, 4,890 clips of one second at 16 kHz by
239 speakers. Of the speakers 70 % are heard in training, 10 % in validation and 20 % in test, none
in two of them. Recordings of noise are: the clips of silence, cut from a few of them, are split one
by one, and some overlap with one of another split. Features are 15 MFCCs x 49 frames.

Read from disk; CC BY 4.0.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ecqx.seeding import generator
from ecqx.tasks import audio, recordings
from ecqx.tasks.audio import CLASSES
from ecqx.tasks.data import Dataset, Split
from ecqx.tasks.splitting import grouped_split, stratified_split

FOLDER = "speech_commands_test_set_v0.02"
ADDRESS = f"https://storage.googleapis.com/download.tensorflow.org/data/{FOLDER}.tar.gz"
N_CLIPS = 4_890
SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}

# as in the archive: 0132a06d_nohash_2.wav, in _unknown_ bird_0132a06d_nohash_2.wav.wav
ROWS_DIFFER = True  # coefficients

_SPOKEN = re.compile(r"(?:[a-z]+_)?(?P<speaker>[0-9a-f]+)_nohash_\d+(?:\.wav)?\.(?:wav|flac)")
_SILENT = re.compile(r"\d+\.(?:wav|flac)")

_FURTHEST_SHIFT = 8  # frames, 160 ms
_FEATURE_NOISE = 0.6  # in standard deviations of a coefficient
_CHANNEL = 0.3  # likewise
_WIDEST_PAUSE = 16  # frames
_WIDEST_GAP = 5  # coefficients


@dataclass(frozen=True)
class Clip:
    """A second of sound and its class.

    Parameters
    ----------
    label : int
    stem : str, name of its file, without folder and suffix.
    speaker : str, optional; None for silence.
    samples : float32 Tensor, shape (16000,), full scale 1
    """

    label: int
    stem: str
    speaker: str | None
    samples: Tensor


def missing(root: Path | None) -> str | None:
    """What to put where, in one line, if the data set is not in the folder ``root``."""
    if root is None:
        return (
            "name the folder that holds them as data_root (or in the environment variable "
            f"ECQX_DATA) and put {FOLDER}.tar.gz there, from {ADDRESS}"
        )
    if find(root) is None:
        return f"put {FOLDER}.tar.gz from {ADDRESS}, or its content as folder {FOLDER}, into {root}"
    return None


def prepare(seed: int, root: Path | None = None) -> Dataset:
    """All clips, in splits that share no speaker.

    Parameters
    ----------
    seed : int, decides which speakers, and which clips of silence, go where.
    root : Path, the folder that holds the data set: the archive, compressed or not, or its content
        as a folder; WAV or FLAC.

    Raises
    ------
    FileNotFoundError : it is not there.
    ValueError : the archive is damaged, clips are too few or too many, or a file has an unknown
        name, is no audio, or is not mono at 16 kHz; it is named.
    """
    if reason := missing(root):
        raise FileNotFoundError(reason)
    clips = read_clips(find(root))
    features = audio.mfcc(torch.stack([clip.samples for clip in clips]))
    labels = torch.tensor([clip.label for clip in clips])
    parts = _split([clip.speaker for clip in clips], labels, seed)
    mean, deviation = audio.feature_statistics(features[parts["train"]])
    splits = {
        name: Split((features[index] - mean) / deviation, labels[index])
        for name, index in parts.items()
    }
    return Dataset(name="speech_commands_test", classes=CLASSES, **splits)


def augment(x: Tensor, rng: torch.Generator) -> Tensor:
    """Shift every sample in time by up to 160 ms, vary its channel, add noise, mask two bands.

    More than the synthetic keywords need: there are few speakers to learn from.
    """
    x = audio.shift_and_blur(x, _FURTHEST_SHIFT, _FEATURE_NOISE, rng)
    x = audio.change_channel(x, _CHANNEL, rng)
    x = audio.mask_band(x, 3, _WIDEST_PAUSE, rng)
    return audio.mask_band(x, 2, _WIDEST_GAP, rng)


def find(root: Path) -> Path | None:
    """The folder, else the archive, that holds the clips; None if neither is in ``root``."""
    folder = Path(root) / FOLDER
    archives = [folder.with_name(FOLDER + suffix) for suffix in (".tar.gz", ".tar")]
    if folder.is_dir():
        return folder
    return next((path for path in archives if path.is_file()), None)


def read_clips(source: Path) -> list[Clip]:
    """All clips of the test set, by class and name.

    Parameters
    ----------
    source : Path, what :func:`find` found.

    Raises
    ------
    ValueError : as :func:`prepare` does.
    """
    clips = [_decode(path, content) for path, content in _files(source)]
    if len(clips) != N_CLIPS:
        raise ValueError(
            f"{source}: holds {len(clips)} clips, expected {N_CLIPS}; "
            f"download it again from {ADDRESS}"
        )
    # the order of files differs between file systems and archives
    return sorted(clips, key=lambda clip: (clip.label, clip.stem))


def _split(speakers: list[str | None], labels: Tensor, seed: int) -> dict[str, Tensor]:
    """Indices of the clips of each split."""
    rng = generator("speech_commands_test", seed)
    shares = list(SHARES.values())
    numbers = {name: number for number, name in enumerate(sorted(set(filter(None, speakers))))}
    spoken = torch.tensor([i for i, name in enumerate(speakers) if name is not None])
    silent = torch.tensor([i for i, name in enumerate(speakers) if name is None])
    groups = torch.tensor([numbers[name] for name in speakers if name is not None])
    by_speaker = grouped_split(labels[spoken], groups, shares, rng)
    by_clip = stratified_split(labels[silent], shares, rng)
    return {
        name: torch.cat([spoken[a], silent[b]]).sort().values
        for name, a, b in zip(SHARES, by_speaker, by_clip, strict=True)
    }


def _files(source: Path) -> Iterator[tuple[Path, bytes]]:
    """Path and content of every file in a folder named after a class; archives are like folders."""
    reading = source
    try:
        if source.is_dir():
            for reading in source.glob("*/*"):
                if _is_clip(reading):
                    yield reading, reading.read_bytes()
        else:
            with tarfile.open(source, "r:gz" if source.suffix == ".gz" else "r:") as archive:
                for member in archive:
                    path = source / member.name
                    if member.isfile() and _is_clip(path):
                        yield path, archive.extractfile(member).read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise ValueError(
            f"{reading}: cannot be read: {error}; download it again from {ADDRESS}"
        ) from error


def _is_clip(path: Path) -> bool:
    # macOS adds hidden files with metadata to archives and folders
    return path.parent.name in CLASSES and not path.name.startswith(".")


def _decode(path: Path, content: bytes) -> Clip:
    label = CLASSES.index(path.parent.name)
    silent = CLASSES[label] == "_silence_"
    match = (_SILENT if silent else _SPOKEN).fullmatch(path.name)
    if match is None:
        expected = "<number>.wav" if silent else "<speaker>_nohash_<number>.wav"
        raise ValueError(f"{path}: unknown name, expected {expected} (or .flac)")
    samples = recordings.read_clip(path, content=content)
    return Clip(label, path.stem, None if silent else match["speaker"], samples)
