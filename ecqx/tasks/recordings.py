"""Clips of one length, read from audio files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import torch
from torch import Tensor

from ecqx.tasks.audio import CLIP_SAMPLES, SAMPLE_RATE

if TYPE_CHECKING:
    from soundfile import SoundFile

# A program that writes to a pipe cannot go back to fill in the length. The header then says 0, or
# about the largest signed or unsigned number of 32 bits.
_LENGTHLESS = 0x7FFF_0000


def read(path: Path, sample_rate: int = SAMPLE_RATE, content: bytes | None = None) -> Tensor:
    """All samples of a recording.

    Parameters
    ----------
    path : Path, WAV, FLAC, OGG or whatever else libsndfile reads.
    sample_rate : int, Hz. Nothing is resampled: a recording at another rate is refused.
    content : bytes, optional; what the file holds, for one in an archive; ``path`` then only names
        it.

    Returns
    -------
    float32 Tensor, shape (samples,), full scale 1

    Raises
    ------
    ValueError : it is no audio, cut off, empty, not mono at the sample rate, or holds values that
        are not finite; the path is named.
    """
    with _opened(path, sample_rate, content) as file:
        samples = torch.from_numpy(file.read(dtype="float32"))
    if not bool(samples.isfinite().all()):
        raise ValueError(f"{path}: holds samples that are not finite")
    return samples


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


def check(path: Path, sample_rate: int) -> None:
    """The ValueError of :func:`read` if the header of the recording is enough to tell."""
    with _opened(path, sample_rate, None):
        pass


@contextmanager
def _opened(path: Path, sample_rate: int, content: bytes | None) -> Iterator[SoundFile]:
    import soundfile

    with open(path, "rb") if content is None else io.BytesIO(content) as stored:
        end, size = _announced_end(stored), stored.seek(0, io.SEEK_END)
    if size < end:
        raise ValueError(f"{path}: is cut off, holds {size} bytes, expected {end} by its header")
    try:
        source = str(path) if content is None else io.BytesIO(content)
        with soundfile.SoundFile(source) as file:
            if file.samplerate != sample_rate or file.channels != 1:
                raise ValueError(
                    f"{path}: {file.samplerate} Hz, {file.channels} channels, "
                    f"expected {sample_rate} Hz mono"
                )
            if file.frames == 0:
                raise ValueError(f"{path}: holds no samples")
            yield file
    except soundfile.SoundFileError as error:
        raise ValueError(f"{path}: cannot be read as audio: {error}") from error


def _announced_end(file: BinaryIO) -> int:
    """Where the samples of a WAV file end by its header, in bytes; 0 if it does not say.

    libsndfile takes what is there for all of it.
    """
    if file.read(4) != b"RIFF":
        return 0
    file.seek(12)
    while len(chunk := file.read(8)) == 8:
        size = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"data":
            return 0 if size >= _LENGTHLESS else file.tell() + size
        file.seek(size + size % 2, io.SEEK_CUR)
    return 0
