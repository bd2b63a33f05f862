import shutil
import tarfile

import numpy as np
import pytest
import soundfile
import torch

from ecqx.seeding import generator
from ecqx.tasks import audio
from ecqx.tasks.datasets import speech_commands_test as dataset

SPEAKERS = [f"{number:08x}" for number in range(0xC0FFEE, 0xC0FFEE + 10)]
SPLITS = ("train", "validation", "test")


def names():
    """Of a tiny data set: two clips per speaker and keyword, one of unknown, ten of silence."""
    for speaker in SPEAKERS:
        for word in audio.KEYWORDS:
            yield from (f"{word}/{speaker}_nohash_{n}.wav" for n in range(2))
        # the original names of unknown words end like this
        yield f"_unknown_/bird_{speaker}_nohash_0.wav.wav"
    yield from (f"_silence_/{n}.wav" for n in range(100, 110))


CLIPS = {name: number for number, name in enumerate(names())}


def recording(number, samples=16_000):
    """A tone whose place in the list of clips can be told from its pitch, in faint noise."""
    rng = np.random.default_rng(number)
    tone = np.sin(2 * np.pi * (100 + 10 * number) * np.arange(samples) / 16_000)
    return np.int16(2**15 * (0.3 * tone + 0.01 * rng.standard_normal(samples)))


def write(root, suffix=".wav", archive=None, top=dataset.FOLDER):
    """The tiny data set as a folder in ``root``, or as the archive of that name."""
    folder = root / dataset.FOLDER
    for name, number in CLIPS.items():
        path = folder / (name if suffix == ".wav" else name.removesuffix(".wav") + suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, recording(number), 16_000)
    (folder / "README.md").write_text("Speech Commands\n")
    if archive:
        with tarfile.open(root / archive, "w:gz" if archive.endswith("gz") else "w") as file:
            file.add(folder, arcname=top)
        shutil.rmtree(folder)
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("folder"))


@pytest.fixture
def own(folder, tmp_path):
    """A copy for damaging."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(dataset, "N_CLIPS", len(CLIPS))


@pytest.fixture(scope="module")
def prepared(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "N_CLIPS", len(CLIPS))
        return dataset.prepare(0, folder)


def equal(first, second):
    return all(
        torch.equal(getattr(first, name).x, getattr(second, name).x)
        and torch.equal(getattr(first, name).y, getattr(second, name).y)
        for name in SPLITS
    )


def clips_of(prepared):
    """Split -> the names of its clips, found again by their features."""
    sounds = torch.stack([torch.from_numpy(recording(number)) for number in CLIPS.values()])
    mfcc = audio.mfcc(sounds / 2**15)
    every = torch.cat([getattr(prepared, name).x for name in SPLITS])
    # undo the standardization: it is one affine map per coefficient for all splits
    mean, deviation = audio.feature_statistics(mfcc)
    other_mean, other_deviation = audio.feature_statistics(every)
    listed = list(CLIPS)
    found = {}
    for name in SPLITS:
        x = (getattr(prepared, name).x - other_mean) / other_deviation * deviation + mean
        distance = torch.cdist(x.flatten(1), mfcc.flatten(1))
        found[name] = [listed[i] for i in distance.argmin(dim=1)]
    return found


def speaker_of(name):
    return next((speaker for speaker in SPEAKERS if speaker in name), None)


def test_every_clip_is_in_one_split_under_its_class(prepared):
    found = clips_of(prepared)
    assert sorted(sum(found.values(), [])) == sorted(CLIPS)
    for name in SPLITS:
        classes = [audio.CLASSES[label] for label in getattr(prepared, name).y]
        assert classes == [clip.partition("/")[0] for clip in found[name]]


def test_no_speaker_is_in_two_splits(prepared):
    speakers = {
        name: {speaker_of(clip) for clip in clips} - {None}
        for name, clips in clips_of(prepared).items()
    }
    assert {name: len(group) for name, group in speakers.items()} == {
        "train": 7,
        "validation": 1,
        "test": 2,
    }
    assert set().union(*speakers.values()) == set(SPEAKERS)


def test_shapes_classes_and_scale(prepared):
    assert prepared.classes == audio.CLASSES and prepared.input_shape == (1, 15, 49)
    for name, share in (("train", 7), ("validation", 1), ("test", 2)):
        split = getattr(prepared, name)
        assert split.y.bincount().tolist() == [2 * share] * 10 + [share] * 2
    mean, deviation = audio.feature_statistics(prepared.train.x)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-4, rtol=0)
    torch.testing.assert_close(deviation, torch.ones_like(deviation), atol=1e-4, rtol=0)
    # the other splits are scaled by the training statistics, not by their own
    assert audio.feature_statistics(prepared.test.x)[0].abs().max() > 1e-3


def test_the_seed_decides(prepared, folder, global_rng_untouched):
    assert equal(prepared, dataset.prepare(0, folder))
    assert not equal(prepared, dataset.prepare(1, folder))


@pytest.mark.parametrize(
    ("suffix", "archive", "top"),
    [
        (".flac", None, ""),
        (".wav", f"{dataset.FOLDER}.tar.gz", dataset.FOLDER),
        (".wav", f"{dataset.FOLDER}.tar.gz", "."),
        (".flac", f"{dataset.FOLDER}.tar", dataset.FOLDER),
    ],
)
def test_all_layouts_are_the_same_data(prepared, tmp_path, suffix, archive, top):
    write(tmp_path, suffix, archive, top)
    assert dataset.missing(tmp_path) is None
    assert equal(dataset.prepare(0, tmp_path), prepared)


def test_files_that_are_no_clips_are_left_out(prepared, own):
    (own / dataset.FOLDER / "yes/._c0ffee_nohash_0.wav").write_bytes(b"resource fork")
    (own / dataset.FOLDER / "notes").mkdir()
    (own / dataset.FOLDER / "notes/a.wav").write_text("none of the classes")
    assert equal(dataset.prepare(0, own), prepared)


def test_missing_says_in_one_line_what_to_put_where(tmp_path):
    for root in (None, tmp_path, tmp_path / "nowhere"):
        line = dataset.missing(root)
        assert "\n" not in line
        assert f"put {dataset.FOLDER}.tar.gz" in line and dataset.ADDRESS in line
        assert str(root) in line or root is None and "ECQX_DATA" in line
        with pytest.raises(FileNotFoundError) as caught:
            dataset.prepare(0, root)
        assert str(caught.value) == line


@pytest.mark.parametrize(
    ("samples", "kept"), [(recording(0, 12_000), 12_000), (recording(0, 20_000), 16_000)]
)
def test_other_lengths_become_one_second(own, monkeypatch, samples, kept):
    soundfile.write(own / dataset.FOLDER / "_silence_/100.wav", samples, 16_000)
    seen, mfcc = [], audio.mfcc
    monkeypatch.setattr(audio, "mfcc", lambda clips: seen.append(clips) or mfcc(clips))
    dataset.prepare(0, own)
    expected = torch.zeros(16_000)
    expected[:kept] = torch.from_numpy(samples[:kept]) / 2**15
    first_silence = 10 * 2 * len(SPEAKERS)
    assert seen[0].shape == (len(CLIPS), 16_000)
    torch.testing.assert_close(seen[0][first_silence], expected)


def refusal(root):
    with pytest.raises(ValueError) as caught:
        dataset.prepare(0, root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("samples", "rate", "said"),
    [
        (recording(0, 8_000), 8_000, "8000 Hz, 1 channels, expected 16000 Hz mono"),
        (np.zeros((16_000, 2)), 16_000, "16000 Hz, 2 channels, expected 16000 Hz mono"),
    ],
)
def test_another_format_is_refused(own, samples, rate, said):
    path = own / dataset.FOLDER / f"go/{SPEAKERS[3]}_nohash_1.wav"
    soundfile.write(path, samples, rate)
    assert refusal(own) == f"{path}: {said}"


@pytest.mark.parametrize("content", [b"", b"RIFF", b"<html>not found</html>" * 50])
def test_a_file_that_is_no_audio_is_named(own, content):
    path = own / dataset.FOLDER / "_silence_/104.wav"
    path.write_bytes(content)
    assert refusal(own).startswith(f"{path}: cannot be read as audio: ")


def test_a_damaged_flac_is_named(tmp_path):
    write(tmp_path, ".flac")
    path = tmp_path / dataset.FOLDER / "_silence_/104.flac"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refusal(tmp_path).startswith(f"{path}: ")


def test_an_unknown_name_is_refused(own):
    path = own / dataset.FOLDER / "yes/somebody.wav"
    shutil.copy(own / dataset.FOLDER / "_silence_/104.wav", path)
    assert refusal(own).startswith(f"{path}: unknown name, expected <speaker>_nohash_<number>.wav")


def test_an_incomplete_folder_is_refused(own):
    (own / dataset.FOLDER / "_silence_/104.wav").unlink()
    found, expected = len(CLIPS) - 1, len(CLIPS)
    assert f"{dataset.FOLDER}: holds {found} clips, expected {expected}" in refusal(own)


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.98])
def test_a_truncated_archive_is_refused(tmp_path, suffix, share):
    path = write(tmp_path, archive=dataset.FOLDER + suffix) / f"{dataset.FOLDER}{suffix}"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    line = refusal(tmp_path)
    assert line.startswith(f"{path}: cannot be read: ") and dataset.ADDRESS in line


def test_an_archive_cut_between_two_files_is_refused(tmp_path):
    path = write(tmp_path, archive=f"{dataset.FOLDER}.tar") / f"{dataset.FOLDER}.tar"
    with tarfile.open(path) as archive:
        middle = archive.getmembers()[len(CLIPS) // 2].offset
    path.write_bytes(path.read_bytes()[:middle])
    assert f"{path}: holds " in refusal(tmp_path)


def test_augment_varies_and_leaves_its_input(prepared, global_rng_untouched):
    x = prepared.train.x
    before = x.clone()
    first, again = (dataset.augment(x, generator(0)) for _ in range(2))
    assert torch.equal(x, before)
    assert first.shape == x.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, dataset.augment(x, generator(1)))


def test_the_split_of_all_speakers_is_stratified():
    """Speakers as unequal as those of the real data set, 239 of them."""
    rng = torch.Generator().manual_seed(0)
    n = 4000
    speakers = [f"{int(239 * u**2):08x}" for u in torch.rand(n, generator=rng)]
    labels = torch.randint(12, (n,), generator=rng)
    speakers = [None if label == 10 else s for s, label in zip(speakers, labels, strict=True)]
    parts = dataset._split(speakers, labels, 0)
    heard = {name: {speakers[i] for i in part} - {None} for name, part in parts.items()}
    everybody = len(set().union(*heard.values()))
    assert sum(map(len, heard.values())) == everybody
    for name, share in dataset.SHARES.items():
        assert abs(len(heard[name]) - share * everybody) <= 4
        counts = labels[parts[name]].bincount(minlength=12)
        assert bool(((counts - share * labels.bincount()).abs() <= 6).all()), counts
