import os
import struct

import numpy as np
import pytest
import soundfile
import torch

from ecqx.tasks import recordings

SAMPLES = np.random.default_rng(0).uniform(-0.5, 0.5, 1600).astype(np.float32)
HEADER = 44  # bytes before the samples, as soundfile writes them
WHOLE = HEADER + 2 * len(SAMPLES)


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, SAMPLES, 16_000)
    assert path.stat().st_size == WHOLE
    return path


def refusal(path, content=None):
    with pytest.raises(ValueError) as caught:
        recordings.read(path, content=content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_all_samples_are_read(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, SAMPLES, 16_000)
    expected = torch.from_numpy(soundfile.read(path, dtype="float32")[0])
    assert torch.equal(recordings.read(path), expected)
    assert torch.equal(recordings.read("named", content=path.read_bytes()), expected)
    clip = recordings.read_clip(path, n_samples=2000)
    assert torch.equal(clip[:1600], expected) and not clip[1600:].any()
    assert torch.equal(recordings.read_clip(path, n_samples=1000), expected[:1000])
    recordings.check(path, 16_000)


@pytest.mark.parametrize("kept", [HEADER, HEADER + 2, 300, WHOLE - 1])
def test_a_recording_that_was_cut_off_is_refused(wav, kept):
    wav.write_bytes(wav.read_bytes()[:kept])
    line = f"{wav}: is cut off, holds {kept} bytes, expected {WHOLE} by its header"
    assert refusal(wav) == line
    assert refusal("named", wav.read_bytes()) == line.replace(str(wav), "named")
    with pytest.raises(ValueError, match="is cut off"):
        recordings.check(wav, 16_000)


def announce(path, total, samples):
    """Put other lengths, in bytes, into the header."""
    content = bytearray(path.read_bytes())
    content[4:8], content[HEADER - 4 : HEADER] = (
        struct.pack("<I", total),
        struct.pack("<I", samples),
    )
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("total", "samples"),
    [(8, 0), (0x7FFFF024, 0x7FFFF000), (0x80000024, 0x80000000), (0xFFFFFFFF, 0xFFFFFFFF)],
)
def test_what_came_through_a_pipe_does_not_know_its_length(wav, total, samples):
    whole = recordings.read(wav)
    announce(wav, total, samples)
    assert torch.equal(recordings.read(wav), whole)


def test_what_libsndfile_reads_nothing_of_is_no_silence(wav):
    announce(wav, 0, 0)
    assert refusal(wav) == f"{wav}: holds no samples"


def test_other_parts_of_a_file_do_not_matter(wav):
    """One of odd length before the samples, one after them."""
    whole, content = recordings.read(wav), wav.read_bytes()
    part = b"note" + struct.pack("<I", 5) + b"abcde\0"
    start = HEADER - 8
    wav.write_bytes(content[:start] + part + content[start:] + part)
    assert torch.equal(recordings.read(wav), whole)
    wav.write_bytes((content[:start] + part + content[start:])[:-1])
    assert "is cut off" in refusal(wav)


def test_a_recording_without_samples_is_refused(wav):
    soundfile.write(wav, SAMPLES[:0], 16_000)
    assert refusal(wav) == f"{wav}: holds no samples"
    with pytest.raises(ValueError, match="holds no samples"):
        recordings.check(wav, 16_000)


def test_a_flac_and_an_ogg_that_were_cut_off_are_refused(tmp_path):
    for suffix in (".flac", ".ogg"):
        path = tmp_path / f"a{suffix}"
        soundfile.write(path, np.tile(SAMPLES, 10), 16_000)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
        assert refusal(path).startswith(f"{path}: ")


def flac_announcing(path, samples):
    """A FLAC file whose header announces another number of samples than there are; 0: none."""
    soundfile.write(path, np.tile(SAMPLES, 10), 16_000)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = samples.to_bytes(4, "big")
    path.write_bytes(content)
    return path


def test_a_flac_of_unknown_length_is_read_to_its_end(tmp_path):
    soundfile.write(tmp_path / "known.flac", np.tile(SAMPLES, 10), 16_000)
    path = flac_announcing(tmp_path / "a.flac", 0)
    recordings.check(path, 16_000)
    expected = recordings.read(tmp_path / "known.flac")
    assert len(expected) == 16_000 and torch.equal(recordings.read(path), expected)
    assert torch.equal(recordings.read("named", content=path.read_bytes()), expected)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    assert refusal(path).startswith(f"{path}: cannot be read as audio: ")


@pytest.mark.parametrize(("announced", "fault"), [(8_000, ""), (20_000, "is cut off, ")])
def test_a_flac_whose_header_is_wrong_is_refused(tmp_path, announced, fault):
    path = flac_announcing(tmp_path / "a.flac", announced)
    line = f"{path}: {fault}holds 16000 samples, expected {announced} by its header"
    assert refusal(path) == line


@pytest.mark.parametrize("silent", [False, True])
def test_a_wav_that_goes_on_behind_its_announced_end_is_refused(wav, silent):
    """A recorder that was switched off leaves a header of what it had written at some time."""
    behind = bytes(2_000) if silent else wav.read_bytes()[-2_000:]
    wav.write_bytes(wav.read_bytes()[:-2_000] + behind)
    announce(wav, 0, 1_200)
    line = f"{wav}: holds 2000 bytes behind the samples that its header announces, expected"
    assert refusal(wav).startswith(line)
    assert len(recordings.read("named", content=wav.read_bytes()[: HEADER + 1_200])) == 600


def test_a_short_tag_behind_the_samples_does_not_matter(wav):
    whole = recordings.read(wav)
    wav.write_bytes(wav.read_bytes() + b"TAG" + bytes(125))
    assert torch.equal(recordings.read(wav), whole)


@pytest.mark.parametrize("suffix", [".mp3", ".aiff"])
def test_other_formats_are_read_and_refused_when_cut_off(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, np.tile(SAMPLES, 10), 16_000)
    assert len(recordings.read(path)) == 16_000
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "is cut off, holds" in refusal(path)


def test_a_name_need_not_be_utf_8(wav):
    expected, path = recordings.read(wav), wav.with_name(os.fsdecode(b"caf\xe9.wav"))
    wav.rename(path)
    assert torch.equal(recordings.read(path), expected)
    path.write_bytes(path.read_bytes()[:300])
    assert refusal(path).startswith(f"{path}: is cut off")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path, value):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.where(np.arange(1600) == 9, value, SAMPLES), 16_000, subtype="FLOAT")
    assert refusal(path) == f"{path}: holds samples that are not finite"
