"""Clips of one length, read from audio files."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor

from ecqx.tasks.audio import CLIP_SAMPLES, SAMPLE_RATE


def read(path: Path, sample_rate: int = SAMPLE_RATE, content: bytes | None = None) -> Tensor:
    """All samples of a recording.

    Parameters
    ----------
    path : Path
        WAV, FLAC, OGG or whatever else libsndfile reads.
    sample_rate : int
        Hz. Nothing is resampled: a recording at another rate is refused.
    content : bytes, optional
        What the file holds, for one in an archive; ``path`` then only names it.

    Returns
    -------
    float32 Tensor, shape (samples,), full scale 1

    Raises
    ------
    ValueError: it is no audio, or not mono at the sample rate; the path is named.
    """
    import soundfile

    source = str(path) if content is None else io.BytesIO(content)
    try:
        samples, rate = soundfile.read(source, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise ValueError(f"{path}: cannot be read as audio: {error}") from error
    check_format(path, rate, samples.shape[1], sample_rate)
    return torch.from_numpy(samples[:, 0])


def read_clip(
    path: Path,
    sample_rate: int = SAMPLE_RATE,
    n_samples: int = CLIP_SAMPLES,
    content: bytes | None = None,
) -> Tensor:
    """A recording in one length: shorter ones are padded with zeros at their end, longer ones cut.

    Parameters, exceptions and result are those of :func:`read`, the shape is (n_samples,).
    """
    clip = torch.zeros(n_samples)
    taken = read(path, sample_rate, content)[:n_samples]
    clip[: len(taken)] = taken
    return clip


def check_format(path: Path, found_rate: int, found_channels: int, sample_rate: int) -> None:
    """ValueError naming the path, unless the recording is mono at the sample rate (Hz)."""
    if found_rate != sample_rate or found_channels != 1:
        raise ValueError(
            f"{path}: {found_rate} Hz, {found_channels} channels, expected {sample_rate} Hz mono"
        )
