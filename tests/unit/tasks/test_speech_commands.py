import dataclasses
import hashlib
import math
import shutil
import tarfile

import numpy as np
import pytest
import soundfile
import torch
from torchaudio.datasets import SPEECHCOMMANDS
from torchaudio.datasets import speechcommands as torchaudio_source

from ecqx.seeding import generator
from ecqx.tasks import audio, recordings
from ecqx.tasks.datasets import speech_commands as dataset
from ecqx.tasks.datasets import speech_commands_test

FOLDER = dataset.ARCHIVE.folder
WORDS = (*audio.KEYWORDS, "bird", "cat", "zero")
# of four speakers the third is in the validation list, the fourth in the testing list
SPEAKERS = ("0000aaaa", "1111bbbb", "2222cccc", "3333dddd")
CLIPS = [f"{word}/{speaker}_nohash_{n}.wav" for word in WORDS for speaker in SPEAKERS
         for n in range(2)]  # fmt: skip


def tone(number):
    """A second whose pitch tells which clip it is."""
    t = np.arange(16_000) / 16_000
    return 0.3 * np.sin(2 * np.pi * (100 + 12 * number) * t).astype(np.float32)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    folder = root / FOLDER
    for number, name in enumerate(CLIPS):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, tone(number), 16_000)
    (folder / dataset.BACKGROUND).mkdir()
    for number in range(2):
        rng = np.random.default_rng(number)
        soundfile.write(
            folder / dataset.BACKGROUND / f"noise{number}.wav",
            0.5 * rng.uniform(-1, 1, 40_000), 16_000,
        )  # fmt: skip
    (folder / dataset.BACKGROUND / "README.md").write_text("background\n")
    for name, speaker in (("validation", SPEAKERS[2]), ("test", SPEAKERS[3])):
        listed = [clip for clip in CLIPS if speaker in clip]
        (folder / dataset.LISTS[name]).write_text("\n".join(listed) + "\n")
    return root


@pytest.fixture
def own(root, tmp_path):
    """A copy for damaging."""
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(dataset, "N_CLIPS", len(CLIPS))


@pytest.fixture(scope="module")
def prepared(root):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "N_CLIPS", len(CLIPS))
        return dataset.prepare(0, root)


def test_splits_are_those_of_torchaudio(root):
    splits = dataset.published_splits(root / FOLDER)
    for name, subset in (("train", "training"), ("validation", "validation"), ("test", "testing")):
        theirs = SPEECHCOMMANDS(root, subset=subset)
        expected = {theirs.get_metadata(i)[0] for i in range(len(theirs))}
        found = {str(path.relative_to(root / "SpeechCommands")) for path in splits[name]}
        assert {path.partition("/")[2] for path in expected} == {
            path.partition("/")[2] for path in found
        }
        assert len(found) == len(splits[name]) == len(theirs)


def test_silence_and_unknown_each_add_a_tenth(prepared):
    assert prepared.name == "speech_commands" and prepared.classes == audio.CLASSES
    for name, per_word in (("train", 4), ("validation", 2), ("test", 2)):
        extra = math.ceil(0.1 * 10 * per_word)
        counts = getattr(prepared, name).y.bincount(minlength=12).tolist()
        assert counts == [per_word] * 10 + [extra] * 2


def test_clips_keep_their_class_and_only_training_is_noisy(prepared, root):
    """Features of clean clips are found again exactly, those of noisy ones are not."""
    clean = {clip: audio.mfcc(recordings.read_clip(root / FOLDER / clip)[None]) for clip in CLIPS}
    scale = []
    for name, speakers in (("validation", SPEAKERS[2:3]), ("test", SPEAKERS[3:])):
        split = getattr(prepared, name)
        words = [f"{word}/{s}_nohash_{n}.wav" for word in audio.KEYWORDS for s in speakers
                 for n in range(2)]  # fmt: skip
        raw = torch.cat([clean[clip] for clip in words])
        scale.append((raw, split.x[: len(words)]))
        assert [audio.CLASSES[y] for y in split.y[: len(words)]] == [
            clip.partition("/")[0] for clip in words
        ]
    # one affine map per coefficient takes raw features to those of both splits
    raw, x = (torch.cat(parts) for parts in zip(*scale, strict=True))
    for coefficient in range(15):
        a, b = raw[:, 0, coefficient].flatten().double(), x[:, 0, coefficient].flatten().double()
        assert torch.corrcoef(torch.stack([a, b]))[0, 1] > 1 - 1e-6
        slope = b.std() / a.std()
        offset = b.mean() - slope * a.mean()
        names = [f"{word}/{s}_nohash_{n}.wav" for word in audio.KEYWORDS for s in SPEAKERS[:2]
                 for n in range(2)]  # fmt: skip
        train = slope * torch.cat([clean[clip] for clip in names])[:, 0, coefficient] + offset
        differs = (train - prepared.train.x[: len(names), 0, coefficient]).abs().amax(dim=1)
        noisy = (differs > 1e-2).double().mean().item()
        assert 0.5 < noisy < 1.0  # 80 % of 40


def test_scale_is_that_of_training(prepared):
    mean, deviation = audio.feature_statistics(prepared.train.x)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-4, rtol=0)
    torch.testing.assert_close(deviation, torch.ones_like(deviation), atol=1e-4, rtol=0)
    assert prepared.input_shape == (1, 15, 49)


def test_the_seed_decides(prepared, root, global_rng_untouched):
    again, other = dataset.prepare(0, root), dataset.prepare(1, root)
    assert torch.equal(prepared.train.x, again.train.x)
    assert not torch.equal(prepared.train.x, other.train.x)


def test_silence_is_background_noise_of_any_volume(prepared):
    silence = prepared.train.x[prepared.train.y == audio.CLASSES.index("_silence_")]
    energy = silence[:, 0, 0].mean(dim=1)
    assert energy.std() > 0.05
    # noise is flat in time, tones too; but no two cuts are the same
    assert len({round(value, 4) for value in energy.tolist()}) == len(energy)


def test_the_published_test_set_is_taken_where_it_is(own, prepared, monkeypatch):
    folder = own / speech_commands_test.FOLDER
    n = 0
    for word in audio.CLASSES:
        (folder / word).mkdir(parents=True)
        for number in range(3):
            name = {"_silence_": f"{number}.wav", "_unknown_": f"cat_00ff_nohash_{number}.wav"}
            soundfile.write(folder / word / name.get(word, f"00ff_nohash_{number}.wav"), tone(n),
                            16_000)  # fmt: skip
            n += 1
    monkeypatch.setattr(speech_commands_test, "N_CLIPS", n)
    found = dataset.prepare(0, own)
    assert found.test.y.bincount().tolist() == [3] * 12
    assert torch.equal(found.train.x, prepared.train.x)
    assert torch.equal(found.validation.x, prepared.validation.x)


def test_augment_shifts_and_leaves_its_input(prepared, global_rng_untouched):
    x = prepared.train.x
    before = x.clone()
    first, again, other = (dataset.augment(x, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(x, before) and first.shape == x.shape
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_missing_says_in_one_line_what_to_put_where(tmp_path, own):
    shutil.rmtree(own / FOLDER / dataset.BACKGROUND)
    for root, part in ((None, "ECQX_DATA"), (tmp_path / "nowhere", "nowhere"),
                       (own, dataset.BACKGROUND)):  # fmt: skip
        line = dataset.missing(root)
        assert "\n" not in line and dataset.ARCHIVE.url in line and part in line
        with pytest.raises(FileNotFoundError) as caught:
            dataset.prepare(0, root)
        assert str(caught.value) == line


def refusal(root):
    with pytest.raises(ValueError) as caught:
        dataset.prepare(0, root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_archive_is_that_of_torchaudio(root):
    (url, sha256) = list(torchaudio_source._CHECKSUMS.items())[1]
    assert (dataset.ARCHIVE.file_name, dataset.ARCHIVE.digest) == (url.rpartition("/")[2], sha256)
    assert SPEECHCOMMANDS(root)._path == str(root / FOLDER)


def test_the_archive_is_unpacked_where_torchaudio_has_it(root, own, prepared, monkeypatch):
    path = own / dataset.ARCHIVE.file_name
    with tarfile.open(path, "w:gz") as archive:
        archive.add(root / FOLDER, arcname=".")
    shutil.rmtree(own / "SpeechCommands")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(dataset, "ARCHIVE", dataclasses.replace(dataset.ARCHIVE, digest=digest))
    assert dataset.missing(own) is None
    assert torch.equal(dataset.prepare(0, own).train.x, prepared.train.x)
    assert {p.name for p in own.iterdir()} == {path.name, "SpeechCommands"}
    assert len(SPEECHCOMMANDS(own, subset="testing")) == len(CLIPS) // 4
    shutil.rmtree(own / "SpeechCommands")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(OSError, match="is damaged, its SHA256 checksum is") as caught:
        dataset.prepare(0, own)
    assert str(path) in str(caught.value)


def test_a_clip_in_both_lists_is_refused(own):
    folder = own / FOLDER
    clip = (folder / dataset.LISTS["test"]).read_text().split()[0]
    with open(folder / dataset.LISTS["validation"], "a") as file:
        file.write(clip + "\n")
    expected = "in validation_list.txt and in testing_list.txt, expected one of them"
    assert refusal(own) == f"{folder / clip}: {expected}"


def test_what_macos_leaves_is_no_clip(own, prepared):
    for name in (f"yes/._{SPEAKERS[0]}_nohash_0.wav", f"{dataset.BACKGROUND}/._noise0.wav"):
        (own / FOLDER / name).write_bytes(b"resource fork")
    assert torch.equal(dataset.prepare(0, own).train.x, prepared.train.x)


def test_an_incomplete_folder_is_refused(own):
    path = own / FOLDER / CLIPS[-1]
    path.unlink()
    assert refusal(own) == f"{path}: in testing_list.txt, but there is no such file"
    (own / FOLDER / CLIPS[0]).unlink()
    (own / FOLDER / dataset.LISTS["test"]).write_text("")
    assert f"holds {len(CLIPS) - 2} clips, expected {len(CLIPS)}" in refusal(own)


@pytest.mark.parametrize(
    ("samples", "rate", "said"),
    [
        (tone(0), 8_000, "8000 Hz, 1 channels, expected 16000 Hz mono"),
        (np.zeros((16_000, 2)), 16_000, "16000 Hz, 2 channels, expected 16000 Hz mono"),
    ],
)
def test_another_format_is_refused(own, samples, rate, said):
    path = own / FOLDER / CLIPS[0]
    soundfile.write(path, samples, rate)
    assert refusal(own) == f"{path}: {said}"


def test_a_file_that_is_no_audio_is_named(own):
    path = own / FOLDER / CLIPS[0]
    path.write_bytes(path.read_bytes()[:20])
    assert refusal(own).startswith(f"{path}: cannot be read as audio: ")


def test_background_shorter_than_a_clip_is_refused(own):
    soundfile.write(own / FOLDER / dataset.BACKGROUND / "noise0.wav", tone(0)[:99], 16_000)
    assert "expected recordings of one second and more" in refusal(own)
