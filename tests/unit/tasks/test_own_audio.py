import numpy as np
import pytest
import soundfile
import torch

from ecqx.seeding import generator
from ecqx.tasks import audio, own_data

SPLITS = ("train", "validation", "test")
SPEAKER = r"^(\w+)-\d"


def tone(number, rate=16_000, seconds=1.0):
    t = np.arange(int(rate * seconds)) / rate
    return 0.3 * np.sin(2 * np.pi * (200 + 15 * number) * t)


def write(folder, words=("left", "right"), speakers=tuple("abcdefghij"), clips=2, suffix=".wav",
          rate=16_000):  # fmt: skip
    number = 0
    for word in words:
        for speaker in speakers:
            for clip in range(clips):
                path = folder / word / f"{speaker}-{clip}{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, tone(number, rate), rate)
                number += 1
    return folder


def source(path, **options):
    return own_data.describe({"kind": "audio_folder", "name": "mine", "path": str(path)} | options)


def clips_of(dataset, folder, suffix=".wav"):
    """Split -> file names, found again by their features."""
    files = sorted(folder.glob(f"*/*{suffix}"))
    clips = [torch.from_numpy(soundfile.read(path, dtype="float32")[0]) for path in files]
    features = audio.mfcc(torch.stack(clips))
    index = {}
    for name in SPLITS:
        x = getattr(dataset, name).x
        index[name] = x
    every = torch.cat(list(index.values()))
    mean, deviation = audio.feature_statistics(features)
    own_mean, own_deviation = audio.feature_statistics(every)
    found = {}
    for name, x in index.items():
        raw = (x - own_mean) / own_deviation * deviation + mean
        nearest = torch.cdist(raw.flatten(1), features.flatten(1)).argmin(dim=1)
        found[name] = [files[i] for i in nearest.tolist()]
    return found


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_speakers_are_heard_in_one_split(tmp_path, suffix):
    write(tmp_path, suffix=suffix)
    dataset = source(tmp_path, speaker=SPEAKER).prepare(0)
    assert dataset.classes == ("left", "right") and dataset.input_shape == (1, 15, 49)
    found = clips_of(dataset, tmp_path, suffix)
    assert sorted(sum(found.values(), [])) == sorted(tmp_path.glob(f"*/*{suffix}"))
    speakers = {name: {path.name[0] for path in paths} for name, paths in found.items()}
    assert [len(speakers[name]) for name in SPLITS] == [7, 1, 2]
    assert set().union(*speakers.values()) == set("abcdefghij")
    for name, paths in found.items():
        labels = [dataset.classes[y] for y in getattr(dataset, name).y]
        assert labels == [path.parent.name for path in paths]


def test_without_speakers_the_split_is_by_class(tmp_path):
    write(tmp_path)
    dataset = source(tmp_path).prepare(0)
    assert [getattr(dataset, name).y.bincount().tolist() for name in SPLITS] == [
        [14, 14], [2, 2], [4, 4],
    ]  # fmt: skip


def test_features_are_standardised_mfccs_of_the_clips(tmp_path):
    write(tmp_path)
    train = source(tmp_path).prepare(0).train.x
    mean, deviation = audio.feature_statistics(train)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-3, rtol=0)
    assert bool(((deviation - 1).abs() < 1e-2).all())


def test_features_are_scaled_as_a_network_was_trained_with(tmp_path):
    write(tmp_path)
    raw = source(tmp_path, normalisation="none").prepare(0).test.x
    pair = {"mean": list(range(15)), "std": 4.0}
    found = source(tmp_path, normalisation=pair).prepare(0).test.x
    torch.testing.assert_close(found, (raw - torch.arange(15.0).view(1, 1, 15, 1)) / 4)
    files = sorted(tmp_path.glob("*/*.wav"))
    clips = torch.stack([torch.from_numpy(soundfile.read(p, dtype="float32")[0]) for p in files])
    distance = torch.cdist(raw.flatten(1).double(), audio.mfcc(clips).flatten(1).double())
    assert distance.min(dim=1).values.max() < 1e-3


def test_another_rate_and_length(tmp_path):
    write(tmp_path, rate=8_000)
    dataset = source(tmp_path, sample_rate=8_000, seconds=0.5).prepare(0)
    frames = len([s for s in range(0, 4_000, 160) if s + 320 <= 4_000])
    assert dataset.input_shape == (1, 15, frames)


def test_ogg_is_read(tmp_path):
    write(tmp_path, suffix=".ogg")
    assert len(source(tmp_path).prepare(0).train) == 28


def test_given_folders_must_share_no_speaker(tmp_path):
    write(tmp_path / "train", speakers="abcde")
    write(tmp_path / "test", speakers="fg")
    dataset = source(tmp_path, speaker=SPEAKER, validation=0.01).prepare(0)
    assert [len(getattr(dataset, name)) for name in SPLITS] == [16, 4, 8]
    write(tmp_path / "validation", speakers="h")
    assert len(source(tmp_path, speaker=SPEAKER).prepare(0).test) == 8
    write(tmp_path / "validation", speakers="a")
    with pytest.raises(ValueError, match=r"a-0.wav: a is heard in train too .*no speaker") as e:
        source(tmp_path, speaker=SPEAKER).prepare(0)
    assert source(tmp_path, speaker=SPEAKER).missing(None) == str(e.value)


@pytest.mark.parametrize("speakers", ["abc", "abcd", "abcde"])
def test_a_few_speakers_are_enough(tmp_path, speakers):
    write(tmp_path, speakers=speakers)
    clips = source(tmp_path, speaker=SPEAKER)
    assert clips.missing(None) is None
    found = clips_of(clips.prepare(0), tmp_path)
    heard = [len({path.name[0] for path in found[name]}) for name in SPLITS]
    assert heard == [len(speakers) - 2, 1, 1]


@pytest.mark.parametrize(
    ("speakers", "folders", "said"),
    [
        ("a", (), "the names tell 1 speaker (a), expected at least 3"),
        ("ab", (), "the names tell 2 speakers (a, b), expected at least 3"),
        ("a", ("test",), "the names tell 1 speaker (a), expected at least 2"),
    ],
)
def test_too_few_speakers_are_refused_before_anything_runs(tmp_path, speakers, folders, said):
    top = tmp_path / "train" if folders else tmp_path
    write(top, speakers=speakers)
    for name in folders:
        write(tmp_path / name, speakers="z")
    clips = source(tmp_path, speaker=SPEAKER)
    assert clips.missing(None) == f"{top}: {said}"
    with pytest.raises(ValueError) as caught:
        clips.prepare(0)
    assert str(caught.value) == f"{top}: {said}"


def test_training_must_keep_every_class(tmp_path):
    write(tmp_path, speakers="abc", words=["left"])
    write(tmp_path, speakers="d", words=["right"], clips=1)
    clips = source(tmp_path, speaker=SPEAKER)
    # who says "right" is drawn
    with pytest.raises(ValueError) as caught:
        for seed in range(20):
            clips.prepare(seed)
    assert str(caught.value) == (
        f"{tmp_path}/right: a share of 0.7 leaves none of its 1 files for training, "
        "expected more speakers, or smaller validation and test"
    )


def test_silent_training_does_not_blow_up_the_test(tmp_path):
    write(tmp_path / "train")
    write(tmp_path / "test", speakers="xy")
    for path in tmp_path.glob("train/*/*.wav"):
        soundfile.write(path, np.zeros(16_000), 16_000)
    dataset = source(tmp_path).prepare(0)
    assert dataset.train.x.abs().max() < 1e-3 and 1 < dataset.test.x.abs().max() < 1000


def test_an_empty_clip_is_refused_before_anything_runs(tmp_path):
    write(tmp_path)
    path = tmp_path / "left/a-0.wav"
    soundfile.write(path, np.zeros(0), 16_000)
    assert source(tmp_path).missing(None) == f"{path}: holds no samples"


def test_a_clip_that_is_not_finite_is_named(tmp_path):
    write(tmp_path)
    path = tmp_path / "left/d-1.wav"
    soundfile.write(path, np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    with pytest.raises(ValueError, match=f"^{path}: holds samples that are not finite$"):
        source(tmp_path).prepare(0)


def test_augmentation(tmp_path, global_rng_untouched):
    x = torch.randn(20, 1, 15, 49, generator=torch.Generator().manual_seed(0))
    augment = source(tmp_path, augmentation="shift_noise").augment
    first, again, other = (augment(x, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert source(tmp_path).augment is None


def test_a_clip_of_the_wrong_rate_is_refused_before_anything_runs(tmp_path):
    write(tmp_path, rate=44_100)
    line = source(tmp_path).missing(None)
    assert line == f"{tmp_path}/left/a-0.wav: 44100 Hz, 1 channels, expected 16000 Hz mono"


def test_a_single_clip_of_the_wrong_rate_is_named(tmp_path):
    write(tmp_path)
    path = tmp_path / "right/d-1.wav"
    soundfile.write(path, tone(0, 8_000), 8_000)
    with pytest.raises(ValueError) as caught:
        source(tmp_path).prepare(0)
    assert str(caught.value) == f"{path}: 8000 Hz, 1 channels, expected 16000 Hz mono"


def test_a_file_that_is_no_audio_is_named(tmp_path):
    write(tmp_path)
    (tmp_path / "left/a-0.wav").write_bytes(b"RIFF")
    assert source(tmp_path).missing(None).startswith(f"{tmp_path}/left/a-0.wav: cannot be read as")


def test_a_name_without_speaker_is_refused(tmp_path):
    write(tmp_path)
    soundfile.write(tmp_path / "left/noise.wav", tone(0), 16_000)
    line = source(tmp_path, speaker=SPEAKER).missing(None)
    assert line.startswith(f"{tmp_path}/left/noise.wav: the name does not match the speaker")


def test_one_class_is_refused(tmp_path):
    write(tmp_path, words=["left"])
    assert "holds one class folder (left), expected at least two" in source(tmp_path).missing(None)
