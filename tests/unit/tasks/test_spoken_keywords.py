import pytest
import torch

from ecqx.seeding import generator
from ecqx.tasks import audio, speech
from ecqx.tasks.datasets import spoken_keywords

SMALL = {"train": 3, "validation": 1, "test": 2}


@pytest.fixture(scope="module")
def small():
    return spoken_keywords.compose(0, SMALL)


def test_classes_are_those_of_speech_commands():
    words = set(audio.KEYWORDS) | set(spoken_keywords.UNKNOWN_WORDS)
    assert len(spoken_keywords.CLASSES) == 12
    assert len(words) == len(audio.KEYWORDS) + len(spoken_keywords.UNKNOWN_WORDS) == 35


def test_sizes_classes_and_scale(small):
    for name, n in SMALL.items():
        split = getattr(small, name)
        assert split.y.bincount(minlength=12).tolist() == [n] * 12
        assert split.x.shape == (12 * n, 1, 15, 49)
    mean, deviation = audio.feature_statistics(small.train.x)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-4, rtol=0)
    torch.testing.assert_close(deviation, torch.ones_like(deviation), atol=1e-4, rtol=0)
    # the other splits are scaled by the training statistics, not by their own
    assert audio.feature_statistics(small.test.x)[0].abs().max() > 1e-3


def test_the_seed_decides(small, global_rng_untouched):
    again, other = spoken_keywords.compose(0, SMALL), spoken_keywords.compose(1, SMALL)
    for name in SMALL:
        assert torch.equal(getattr(small, name).x, getattr(again, name).x)
        assert not torch.equal(getattr(small, name).x, getattr(other, name).x)


def test_no_speaker_is_in_two_splits():
    speakers = spoken_keywords.draw_speakers(0)
    assert {name: len(group) for name, group in speakers.items()} == spoken_keywords.SPEAKERS
    voices = [
        speaker.variant() + speaker.accent for group in speakers.values() for speaker in group
    ]
    assert len(set(voices)) == len(voices) == sum(spoken_keywords.SPEAKERS.values())
    for group in speakers.values():
        assert {speaker.accent for speaker in group} == set(spoken_keywords.ACCENTS)
    assert spoken_keywords.draw_speakers(1)["test"] != speakers["test"]


def test_each_split_hears_its_own_speakers_only(monkeypatch):
    heard = []
    say = speech.Synthesizer.say

    def listen(self, word, speaker, **manner):
        heard.append((word, speaker))
        return say(self, word, speaker, **manner)

    monkeypatch.setattr(speech.Synthesizer, "say", listen)
    spoken_keywords.compose(0, SMALL)
    speakers = spoken_keywords.draw_speakers(0)
    for name, n in SMALL.items():
        spoken = 11 * n  # silence is not
        part, heard = heard[:spoken], heard[spoken:]
        assert {speaker for _, speaker in part} <= set(speakers[name])
        words = [word for word, _ in part]
        assert words[: 10 * n] == [w for w in audio.KEYWORDS for _ in range(n)]
        assert set(words[10 * n :]) <= set(spoken_keywords.UNKNOWN_WORDS)
    assert not heard


@pytest.fixture(scope="module")
def clips():
    """Twenty clips of "yes" and twenty of silence."""
    labels = torch.tensor([0] * 20 + [10] * 20)
    speakers = spoken_keywords.draw_speakers(0)["train"]
    with speech.synthesizer(speakers) as synthesizer:
        return spoken_keywords.record(labels, speakers, synthesizer, generator(0))


def test_clips_last_a_second_and_are_not_clipped(clips):
    assert clips.shape == (40, 16_000)
    assert clips.dtype == torch.float32
    assert clips.abs().max() < 4
    level = 20 * audio.rms(clips).log10()
    assert level.min() > -70 and level.max() < -10


def test_words_stand_out_and_silence_does_not(clips):
    """The loudest 50 ms against the median one."""
    energy = clips.reshape(40, 20, 800).square().mean(dim=2)
    contrast = 10 * (energy.max(dim=1).values / energy.median(dim=1).values).log10()
    assert contrast[:20].median() > 6
    assert contrast[20:].median() < 5


def test_words_are_in_the_middle_and_not_always_at_the_same_place(clips):
    energy = clips[:20].reshape(20, 100, 160).square().mean(dim=2)
    center = (energy * torch.arange(100)).sum(dim=1) / energy.sum(dim=1)
    assert bool(((center > 25) & (center < 75)).all())
    assert center.std() > 2


def test_augment_varies_and_leaves_its_input(small, global_rng_untouched):
    x = small.train.x
    before = x.clone()
    first, again = (spoken_keywords.augment(x, generator(0)) for _ in range(2))
    assert torch.equal(x, before)
    assert first.shape == x.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, spoken_keywords.augment(x, generator(1)))


def test_augment_adds_noise_of_its_strength_to_shifted_features():
    x = torch.ones(50, 1, 15, 49)  # constant in time: a shift changes nothing
    noise = spoken_keywords.augment(x, generator(0)) - x
    assert noise.std().item() == pytest.approx(spoken_keywords._FEATURE_NOISE, rel=0.02)
    assert abs(noise.mean().item()) < 0.01
