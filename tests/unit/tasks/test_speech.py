import dataclasses

import numpy as np
import pytest

from ecqx.tasks import speech
from ecqx.tasks.speech import Speaker

MAN = Speaker(
    accent="en-us",
    formants=((100, 100, 100),) * 8,
    pitch=(80, 110),
    voicing=100,
    consonants=100,
    roughness=2,
    flutter=2,
)
CHILD = dataclasses.replace(MAN, formants=((120, 100, 100),) * 8, pitch=(240, 300))
SCOT = dataclasses.replace(MAN, accent="en-gb-scotland")
SPEAKERS = [MAN, CHILD, SCOT]


def fundamental(samples, sample_rate):
    """Fundamental frequency in Hz by autocorrelation of the middle of a word."""
    middle = len(samples) // 2
    part = samples[middle - 1500 : middle + 1500].astype(np.float64)
    part -= part.mean()
    correlation = np.correlate(part, part, mode="full")[len(part) - 1 :]
    shortest, longest = sample_rate // 400, sample_rate // 60
    return sample_rate / (shortest + np.argmax(correlation[shortest:longest]))


def test_speakers_sound_like_their_settings():
    with speech.synthesizer(SPEAKERS) as synthesizer:
        man, child = (synthesizer.say("no", speaker, pitch_range=0) for speaker in (MAN, CHILD))
        assert 60 < fundamental(man, synthesizer.sample_rate) < 140
        assert 200 < fundamental(child, synthesizer.sample_rate) < 360


def test_rate_pitch_word_and_accent_are_heard():
    with speech.synthesizer(SPEAKERS) as synthesizer:
        slow, fast = (synthesizer.say("go", MAN, words_per_minute=r) for r in (110, 300))
        assert len(slow) > 1.2 * len(fast)
        low, high = (synthesizer.say("no", MAN, pitch=p, pitch_range=0) for p in (20, 90))
        rate = synthesizer.sample_rate
        assert fundamental(high, rate) > 1.2 * fundamental(low, rate)
        said = [
            synthesizer.say(word, speaker).tobytes()
            for word, speaker in (("on", MAN), ("off", MAN), ("on", SCOT))
        ]
        assert len(set(said)) == 3


def test_a_new_synthesizer_repeats_itself_whatever_came_before():
    def session():
        with speech.synthesizer(SPEAKERS) as synthesizer:
            return [
                synthesizer.say(word, speaker).tobytes()
                for speaker in SPEAKERS
                for word in ("yes", "stop", "seven")
            ]

    first = session()
    with speech.synthesizer(SPEAKERS) as synthesizer:
        synthesizer.say("happy", CHILD)
    assert session() == first


def test_every_one_of_many_speakers_is_known():
    many = [dataclasses.replace(MAN, pitch=(80 + n, 100 + n)) for n in range(300)]
    with speech.synthesizer(many) as synthesizer:
        first, last = (synthesizer.say("no", many[n], pitch_range=0) for n in (0, 299))
        assert fundamental(last, synthesizer.sample_rate) > 250
        assert fundamental(first, synthesizer.sample_rate) < 140


def test_too_many_speakers_are_refused():
    many = [dataclasses.replace(MAN, pitch=(80, 100 + n)) for n in range(301)]
    with pytest.raises(ValueError, match="301 speakers, expected at most 300"):
        speech.synthesizer(many).__enter__()


def test_unknown_speakers_and_accents_are_refused():
    nobody = dataclasses.replace(MAN, accent="xx-nosuch")
    with speech.synthesizer([MAN, nobody]) as synthesizer:
        with pytest.raises(ValueError, match="not started with the speaker"):
            synthesizer.say("yes", CHILD)
        with pytest.raises(ValueError, match="no accent 'xx-nosuch'"):
            synthesizer.say("yes", nobody)


def test_silence_of_the_synthesizer_is_an_error(monkeypatch):
    monkeypatch.setattr(speech.Synthesizer, "_collect", lambda self, samples, count, events: 0)
    with (
        speech.synthesizer([MAN]) as synthesizer,
        pytest.raises(RuntimeError, match="produced no sound for 'yes'"),
    ):
        synthesizer.say("yes", MAN)
