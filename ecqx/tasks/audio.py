"""From one-second clips to the features of keyword spotting, and background noise for clips."""

from __future__ import annotations

import torch
from torch import Tensor

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
CLASSES = (*KEYWORDS, "_silence_", "_unknown_")

SAMPLE_RATE = 16_000  # Hz
CLIP_SAMPLES = SAMPLE_RATE  # one second
N_MFCC = 15
_WINDOW = 0.040  # seconds
_HOP = 0.020  # seconds


def mfcc(clips: Tensor, sample_rate: int = SAMPLE_RATE) -> Tensor:
    """Mel-frequency cepstral coefficients, windows of 40 ms every 20 ms, none over the edges.

    Parameters
    ----------
    clips : float32 Tensor, shape (n, samples), full scale 1; at least 40 ms long.
    sample_rate : int, Hz.

    Returns
    -------
    float32 Tensor, shape (n, 1, 15, frames): coefficient by frame, 49 of them in a second.
    """
    from torchaudio.transforms import MFCC

    transform = MFCC(
        sample_rate=sample_rate,
        n_mfcc=N_MFCC,
        # the default, decibels, is clipped relative to the loudest clip of the same call
        log_mels=True,
        melkwargs={
            "n_fft": round(_WINDOW * sample_rate),
            "hop_length": round(_HOP * sample_rate),
            "n_mels": 40,
            "f_min": 20.0,
            "center": False,
        },
    )
    return torch.cat([transform(part) for part in clips.split(256)]).unsqueeze(1)


def feature_statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every coefficient over clips and frames, (1, 1, C, 1)."""
    return (
        features.mean(dim=(0, 3), keepdim=True),
        features.std(dim=(0, 3), keepdim=True),
    )


def colored_noise(exponent: Tensor, rng: torch.Generator) -> Tensor:
    """Noise whose power falls with frequency as f**-exponent: 0 white, 1 pink, 2 brown.

    Parameters
    ----------
    exponent : Tensor, shape (n,)
    rng : torch.Generator

    Returns
    -------
    float32 Tensor, shape (n, 16000), root mean square 1 in every row.
    """
    white = torch.randn(len(exponent), CLIP_SAMPLES, generator=rng)
    spectrum = torch.fft.rfft(white)
    frequency = torch.fft.rfftfreq(CLIP_SAMPLES, 1 / SAMPLE_RATE)
    # below the audible range a steep slope would leave nothing of the rest
    frequency = frequency.clamp(min=20.0)
    shaped = spectrum * frequency ** (-exponent[:, None] / 2)
    noise = torch.fft.irfft(shaped, n=CLIP_SAMPLES)
    return noise / rms(noise)


def rms(clips: Tensor) -> Tensor:
    """Root mean square of every row, shape (n, 1)."""
    return clips.square().mean(dim=1, keepdim=True).sqrt()


def shift_and_blur(x: Tensor, furthest: int, noise: float, rng: torch.Generator) -> Tensor:
    """Move every sample along time, see :func:`shift_frames`, and add noise to its features.

    Parameters
    ----------
    x : Tensor, shape (n, C, H, frames)
    furthest : int, frames.
    noise : float, standard deviation.
    rng : torch.Generator
    """
    blur = torch.randn(x.shape, generator=rng).to(x.device)
    return shift_frames(x, furthest, rng) + noise * blur


def shift_frames(x: Tensor, furthest: int, rng: torch.Generator) -> Tensor:
    """Move every sample along time by up to ``furthest`` frames, repeating the edge frame.

    Parameters
    ----------
    x : Tensor, shape (n, C, H, frames)
    furthest : int
    rng : torch.Generator
    """
    n, channels, height, frames = x.shape
    shift = torch.randint(-furthest, furthest + 1, (n, 1), generator=rng).to(x.device)
    source = (torch.arange(frames, device=x.device) - shift).clamp(0, frames - 1)
    return x.gather(3, source[:, None, None, :].expand(n, channels, height, frames))


def change_channel(x: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Add one random number to all frames of a coefficient, as another microphone or room would.

    A filter multiplies the spectrum, which adds a constant to its logarithm and so to cepstra.

    Parameters
    ----------
    x : Tensor, shape (n, C, H, frames)
    strength : float, standard deviation.
    rng : torch.Generator
    """
    return x + strength * torch.randn(*x.shape[:3], 1, generator=rng).to(x.device)


def mask_band(x: Tensor, dim: int, widest: int, rng: torch.Generator) -> Tensor:
    """Set a random band of every sample to zero, the mean of standardized features.

    Source: [park2019specaugment], section 2.

    Parameters
    ----------
    x : Tensor, shape (n, C, H, frames)
    dim : int, 2 masks coefficients, 3 masks frames.
    widest : int, the width is uniform from 0 to this, the same for all channels.
    rng : torch.Generator
    """
    n, size = len(x), x.shape[dim]
    width = torch.randint(widest + 1, (n, 1), generator=rng)
    start = (torch.rand(n, 1, generator=rng) * (size - width + 1)).long()
    place = torch.arange(size)
    band = (place >= start) & (place < start + width)
    shape = [n, 1, 1, 1]
    shape[dim] = size
    return x.masked_fill(band.view(shape).to(x.device), 0.0)
