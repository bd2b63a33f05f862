"""Clips of one length, read from audio files."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import soundfile
import torch
from torch import Tensor

from ecqx.tasks.audio import CLIP_SAMPLES, SAMPLE_RATE

# A program that writes to a pipe cannot go back to fill in the length. The header then says 0, or
# about the largest signed or unsigned number of 32 bits.
_LENGTHLESS = 0x7FFF_0000
_AT_A_TIME = 1 << 20  # samples
# Chunks of samples, by the format that a file begins with, and the order of bytes in it.
_CHUNKED = {b"RIFF": (b"data", "little"), b"FORM": (b"SSND", "big")}
_NAMED = re.compile(rb"[ -~]{4}")  # what the name of a chunk looks like
# What programs append to a recording beside chunks (tags, padding) is shorter.
_LONGEST_TAG = 1024  # bytes


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
    ValueError : it is no audio, cut off, longer than its header says, empty, not mono at the sample
        rate, or holds values that are not finite; the path is named.
    """
    with _opened(path, sample_rate, content) as (file, announced):
        parts = []
        while len(part := file.read(_AT_A_TIME, dtype="float32")):
            parts.append(torch.from_numpy(part))
    samples = torch.cat(parts) if parts else torch.empty(0)
    if announced is not None and len(samples) != announced:
        fault = "is cut off, " if len(samples) < announced else ""
        raise ValueError(
            f"{path}: {fault}holds {len(samples)} samples, expected {announced} by its header"
        )
    if not len(samples):
        raise ValueError(f"{path}: holds no samples")
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


class _ToItsEnd(soundfile.SoundFile):
    """Read on until nothing comes, not up to where the header says that the end is."""

    def seekable(self) -> bool:
        return False


@contextmanager
def _opened(
    path: Path, sample_rate: int, content: bytes | None
) -> Iterator[tuple[soundfile.SoundFile, int | None]]:
    """The recording, and how many samples its header announces; None if it leaves that open."""
    with open(path, "rb") if content is None else io.BytesIO(content) as stored:
        start = stored.read(4)
        if start in _CHUNKED:
            _check_chunks(path, stored, *_CHUNKED[start])
        flac = start + stored.read() if start == b"fLaC" else None
    try:
        with _sound(path, content, flac) as file:
            if file.samplerate != sample_rate or file.channels != 1:
                raise ValueError(
                    f"{path}: {file.samplerate} Hz, {file.channels} channels, "
                    f"expected {sample_rate} Hz mono"
                )
            if file.frames == 0:
                raise ValueError(f"{path}: holds no samples")
            yield file, file.frames if flac is None else _flac_length(flac) or None
    except soundfile.SoundFileError as error:
        # of some damage libsndfile knows no more than a number
        cause = getattr(error, "error_string", str(error)) or "it is damaged or cut off"
        raise ValueError(f"{path}: cannot be read as audio: {cause}") from error


def _sound(path: Path, content: bytes | None, flac: bytes | None) -> soundfile.SoundFile:
    if flac is not None:
        # libsndfile believes a length that the header announces, and seeks there
        return _ToItsEnd(io.BytesIO(_lengthless(flac)))
    # as bytes: a name need not be UTF-8
    return soundfile.SoundFile(os.fsencode(path) if content is None else io.BytesIO(content))


def _flac_length(flac: bytes) -> int:
    """Samples by STREAMINFO, the block that comes first: the last 36 bits before its checksum."""
    return int.from_bytes(flac[21:26], "big") & 0xF_FFFF_FFFF


def _lengthless(flac: bytes) -> bytes:
    """The same with a length of 0, which says that it is not known."""
    if len(flac) < 26:
        return flac
    return flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]


def _check_chunks(path: Path, file: BinaryIO, samples: bytes, order: str) -> None:
    """ValueError if a WAV or AIFF file is shorter than its header says, or goes on behind its end.

    libsndfile takes what is there for all of it, and what is announced for all that is there.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(12)
    found = False
    while len(chunk := file.read(8)) == 8:
        length = int.from_bytes(chunk[4:], order)
        if chunk[:4] == samples:
            if order == "little" and length >= _LENGTHLESS:
                return
            found = True
            if size < file.tell() + length:
                raise ValueError(
                    f"{path}: is cut off, holds {size} bytes, "
                    f"expected {file.tell() + length} by its header"
                )
            if length == 0:
                return
        elif found and not (_NAMED.fullmatch(chunk[:4]) and file.tell() + length <= size):
            file.seek(-8, io.SEEK_CUR)
            break
        file.seek(length + length % 2, io.SEEK_CUR)
    if found and size - file.tell() > _LONGEST_TAG:
        raise ValueError(
            f"{path}: holds {size - file.tell()} bytes behind the samples that its header "
            "announces, expected a header that tells of them all"
        )
