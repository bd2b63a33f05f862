"""The twelve classes of Speech Commands, spoken by the synthesizer espeak-ng.

Ten keywords, silence (background noise alone) and unknown (the other words of Speech Commands
v0.02 [warden2018commands]), by many speakers in eight accents, at many rates, pitches and levels,
over background noise of many colors. A speaker is an accent and a random vocal tract, pitch and
manner; no speaker is heard in two splits, the accents are heard in all of them.
Features are 15 MFCCs x 49 frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ecqx.seeding import generator
from ecqx.tasks import audio, speech
from ecqx.tasks.audio import CLASSES
from ecqx.tasks.data import Dataset, Split

UNKNOWN_WORDS = (
    *("backward", "bed", "bird", "cat", "dog", "eight", "five", "follow", "forward", "four"),
    *("happy", "house", "learn", "marvin", "nine", "one", "seven", "sheila", "six", "three"),
    *("tree", "two", "visual", "wow", "zero"),
)

ACCENTS = (
    *("en", "en-us", "en-029", "en-gb-scotland"),
    *("en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-x-rp", "en-us-nyc"),
)
SPEAKERS = {"train": 160, "validation": 40, "test": 60}

ROWS_DIFFER = True  # coefficients

_TRACT = (0.92, 1.2)  # formant frequencies relative to the accent's own (male) voice
_LOWEST_PITCH = (70, 220)  # Hz
_OWN = 5  # per cent, furthest of a speaker's single formants from the above
_FORMANT_STRENGTH = (70, 120)  # per cent
_FORMANT_WIDTH = (80, 150)  # per cent
_WORDS_PER_MINUTE = (120, 240)
_PITCH = (20, 80)
_PITCH_RANGE = (20, 80)
_LEVEL = (-35.0, -15.0)  # dB of full scale, root mean square of the word
_SNR = (5.0, 30.0)  # dB, word to background
_JITTER = 0.1  # seconds, furthest from the middle of the clip
_NOISE_EXPONENT = (0.0, 2.0)  # white to brown

_FURTHEST_SHIFT = 4  # frames, 80 ms
_FEATURE_NOISE = 0.2  # in standard deviations of a coefficient


def prepare(seed: int, root: Path | None = None) -> Dataset:
    """Per class 300 training, 70 validation and 100 test clips.

    ``root`` is not used: the clips are synthesized.
    """
    return compose(seed, {"train": 300, "validation": 70, "test": 100})


def compose(seed: int, clips_per_class: dict[str, int]) -> Dataset:
    """The data set in any size; see :func:`prepare`."""
    speakers = draw_speakers(seed)
    features, labels = {}, {}
    with speech.synthesizer(list(chain.from_iterable(speakers.values()))) as synthesizer:
        for name, n in clips_per_class.items():
            labels[name] = torch.arange(len(CLASSES)).repeat_interleave(n)
            rng = generator("spoken_keywords", name, seed)
            clips = record(labels[name], speakers[name], synthesizer, rng)
            features[name] = audio.mfcc(clips)
    mean, deviation = audio.feature_statistics(features["train"])
    splits = {name: Split((x - mean) / deviation, labels[name]) for name, x in features.items()}
    return Dataset(name="spoken_keywords", classes=CLASSES, **splits)


def augment(x: Tensor, rng: torch.Generator) -> Tensor:
    """Shift every sample in time by up to 80 ms and add noise to its features."""
    return audio.shift_and_blur(x, _FURTHEST_SHIFT, _FEATURE_NOISE, rng)


def draw_speakers(seed: int) -> dict[str, list[speech.Speaker]]:
    """The speakers of each split; no two of them are the same."""
    rng = generator("speakers", seed)
    everybody: dict[speech.Speaker, None] = {}
    while len(everybody) < sum(SPEAKERS.values()):
        # the accents in turn, so that each is heard in each split
        everybody[_draw_speaker(ACCENTS[len(everybody) % len(ACCENTS)], rng)] = None
    remaining = iter(everybody)
    return {name: list(islice(remaining, n)) for name, n in SPEAKERS.items()}


def _draw_speaker(accent: str, rng: torch.Generator) -> speech.Speaker:
    # one number from a large man to a child moves pitch and formants together
    smallness = torch.rand((), generator=rng).item()
    tract = _TRACT[0] + (_TRACT[1] - _TRACT[0]) * smallness
    low = round(_LOWEST_PITCH[0] * (_LOWEST_PITCH[1] / _LOWEST_PITCH[0]) ** smallness)
    formants = tuple(
        (
            round(tract * _between((100 - _OWN, 100 + _OWN), rng)),
            _between(_FORMANT_STRENGTH, rng),
            _between(_FORMANT_WIDTH, rng),
        )
        for _ in range(8)
    )
    return speech.Speaker(
        accent=accent,
        formants=formants,
        pitch=(low, low + _between((20, 60), rng)),
        voicing=_between((60, 140), rng),
        consonants=_between((60, 140), rng),
        roughness=_between((0, 4), rng),
        flutter=_between((0, 6), rng),
    )


def record(
    labels: Tensor,
    speakers: Sequence[speech.Speaker],
    synthesizer: speech.Synthesizer,
    rng: torch.Generator,
) -> Tensor:
    """One clip per label.

    Parameters
    ----------
    labels : int64 Tensor, shape (n,)
    speakers : sequence of Speaker, to draw from.
    synthesizer : Synthesizer, started with these speakers.
    rng : torch.Generator

    Returns
    -------
    float32 Tensor, shape (n, 16000), full scale 1
    """
    from torchaudio.functional import resample

    n = len(labels)
    # silence has a level and a signal-to-noise ratio too, so that loudness does not give it away
    level = 10 ** (_uniform(n, _LEVEL, rng) / 20)
    background = level * 10 ** (-_uniform(n, _SNR, rng) / 20)
    clips = torch.zeros(n, synthesizer.sample_rate)
    for row, label in enumerate(labels.tolist()):
        word = CLASSES[label]
        if word == "_unknown_":
            word = _choose(UNKNOWN_WORDS, rng)
        if word != "_silence_":
            spoken = synthesizer.say(
                word,
                _choose(speakers, rng),
                words_per_minute=_between(_WORDS_PER_MINUTE, rng),
                pitch=_between(_PITCH, rng),
                pitch_range=_between(_PITCH_RANGE, rng),
            )
            samples = torch.from_numpy(spoken).to(torch.float32)
            jitter = _JITTER * (2 * torch.rand((), generator=rng).item() - 1)
            samples = samples[: clips.shape[1]] * (level[row] / audio.rms(samples[None]).squeeze())
            free = clips.shape[1] - len(samples)
            start = min(max(round(free / 2 + jitter * synthesizer.sample_rate), 0), free)
            clips[row, start : start + len(samples)] = samples
    clips = torch.cat(
        [resample(part, synthesizer.sample_rate, audio.SAMPLE_RATE) for part in clips.split(256)]
    )
    noise = audio.colored_noise(_uniform(n, _NOISE_EXPONENT, rng), rng)
    return clips + background[:, None] * noise


def _choose(options: Sequence, rng: torch.Generator) -> Any:
    return options[int(torch.randint(len(options), (), generator=rng))]


def _between(bounds: tuple[int, int], rng: torch.Generator) -> int:
    return int(torch.randint(bounds[0], bounds[1] + 1, (), generator=rng))


def _uniform(n: int, bounds: tuple[float, float], rng: torch.Generator) -> Tensor:
    return bounds[0] + (bounds[1] - bounds[0]) * torch.rand(n, generator=rng)
