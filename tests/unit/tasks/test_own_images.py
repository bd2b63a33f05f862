import numpy as np
import pytest
import torch
from PIL import Image

from ecqx.seeding import generator
from ecqx.tasks import own_data
from ecqx.tasks.own_data import _images

SPLITS = ("train", "validation", "test")


def source(path, **options):
    entry = {"kind": "image_folder", "name": "photos", "path": str(path)}
    return own_data.describe(entry | options)


def paint(path, color, size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


def fill(folder, counts, suffix=".png", shade=0):
    """Per class so many plain images; every one has a color of its own."""
    for label, (name, n) in enumerate(counts.items()):
        for number in range(n):
            paint(folder / name / f"{number:03}{suffix}", (40 * label + 20, number, shade))
    return folder


def colors(dataset):
    """Split -> list of (red, green), found again through the affine scale of a channel."""
    everything = torch.cat([getattr(dataset, name).x for name in SPLITS])
    return {name: getattr(dataset, name).x[:, :, 4, 4] for name in SPLITS}, everything


def test_a_folder_is_split_by_class(tmp_path):
    fill(tmp_path, {"dog": 20, "cat": 40})
    (tmp_path / "cat/notes.txt").write_text("no image")
    (tmp_path / "cat/.hidden.png").write_text("no image either")
    dataset = source(tmp_path, image_size=8).prepare(0)
    assert dataset.classes == ("cat", "dog") and dataset.name == "photos"
    assert dataset.input_shape == (3, 8, 8)
    for name, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
        counts = getattr(dataset, name).y.bincount().tolist()
        assert counts == [round(40 * share), round(20 * share)]
    # nothing is lost, nothing comes twice: green counts the files of a class
    points, _ = colors(dataset)
    seen = torch.cat(list(points.values()))
    assert len(torch.unique(seen[:, :2], dim=0)) == 60
    # red tells the class
    for name in SPLITS:
        by_class = points[name][:, 0]
        y = getattr(dataset, name).y
        assert (
            len({(round(r, 4), c) for r, c in zip(by_class.tolist(), y.tolist(), strict=True)}) == 2
        )


def test_training_is_standardised_per_channel(tmp_path):
    fill(tmp_path, {"a": 30, "b": 30})
    train = source(tmp_path, image_size=8).prepare(0).train.x
    for channel in (0, 1):
        values = train[:, channel].numpy()
        assert values.mean() == pytest.approx(0, abs=1e-4)
        assert values.std(ddof=1) == pytest.approx(1, abs=1e-3)
    assert not train[:, 2].any(), "a channel without variation is zero"


def test_folders_of_splits_are_kept(tmp_path):
    fill(tmp_path / "train", {"a": 10, "b": 10}, shade=10)
    fill(tmp_path / "test", {"a": 3, "b": 2}, ".jpg", shade=200)
    dataset = source(tmp_path, image_size=8, validation=0.2).prepare(0)
    assert [len(getattr(dataset, name)) for name in SPLITS] == [16, 4, 5]
    fill(tmp_path / "validation", {"a": 1, "b": 1})
    dataset = source(tmp_path, image_size=8).prepare(0)
    assert [len(getattr(dataset, name)) for name in SPLITS] == [20, 2, 5]


def test_the_seed_decides(tmp_path, global_rng_untouched):
    fill(tmp_path, {"a": 20, "b": 20})
    first, again, other = (source(tmp_path, image_size=8).prepare(seed) for seed in (0, 0, 1))
    assert torch.equal(first.train.x, again.train.x)
    assert not torch.equal(first.train.x, other.train.x)


def test_the_center_is_cut_out_of_a_scaled_image(tmp_path):
    wide = np.zeros((16, 48, 3), np.uint8)
    wide[:, 16:32] = 200  # the middle third
    wide[:8, 16:32, 0] = 100
    (tmp_path / "a").mkdir()
    Image.fromarray(wide).save(tmp_path / "a/0.png")
    pixels = source(tmp_path, image_size=8)._read(tmp_path / "a/0.png")
    assert pixels.shape == (3, 8, 8) and pixels.dtype == torch.uint8
    inside = pixels[:, :, 1:-1]  # interpolation mixes the outermost columns with what is cut off
    assert inside[1:].eq(200).all()
    assert inside[0, :3].eq(100).all() and inside[0, 5:].eq(200).all()
    grey = source(tmp_path, image_size=8, channels=1)._read(tmp_path / "a/0.png")
    # ITU-R 601: 0.299 red, 0.587 green, 0.114 blue
    assert grey.shape == (1, 8, 8) and grey[0, 0, 4] == round(0.299 * 100 + 0.701 * 200)


def test_crop_and_flip_shifts_by_an_eighth(global_rng_untouched):
    augment = _images.augmentation("crop_flip")
    x = torch.ones(500, 1, 16, 16)
    rows = augment(x, generator(0))[:, 0].amax(dim=2)
    # padded with two zeros on each side, two rows at most are gone
    assert set(rows.sum(dim=1).int().tolist()) == {14, 15, 16}
    assert _images.augmentation("none") is None


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: paint(p / "only/0.png", 0), "{p}: holds one class folder (only), expected at"),
        (lambda p: (p / "a.txt").write_text(""), "{p}: holds no class folders, expected at least"),
        (lambda p: (fill(p, {"a": 2}), (p / "b").mkdir()), "{p}/b: holds no file ending in .png"),
        (
            lambda p: (fill(p / "train", {"a": 2, "b": 2}), fill(p / "test", {"c": 1})),
            "{p}/test/c: a class that train does not have, expected a, b",
        ),
        (lambda p: fill(p / "test", {"a": 2, "b": 2}), "{p}: holds a folder test but none called"),
        (
            lambda p: (fill(p / "train", {"a": 2, "b": 2}), (p / "test").mkdir()),
            "{p}/test: holds no class folders",
        ),
    ],
)  # fmt: skip
def test_wrong_folders_are_refused_before_images_are_read(tmp_path, make, said):
    make(tmp_path)
    line = source(tmp_path).missing(None)
    assert line.startswith(said.format(p=tmp_path))
    with pytest.raises(ValueError) as caught:
        source(tmp_path).prepare(0)
    assert str(caught.value) == line and "\n" not in line


def test_a_file_in_place_of_a_folder_is_refused(tmp_path):
    paint(tmp_path / "a.png", 0)
    assert "expected a folder of class folders" in source(tmp_path / "a.png").missing(None)


@pytest.mark.parametrize("kept", [0, 20, 60])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_damaged_image_is_named(tmp_path, suffix, kept):
    fill(tmp_path, {"a": 10, "b": 10}, suffix)
    path = tmp_path / f"b/004{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:kept])
    assert source(tmp_path).missing(None) is None, "the workflow looks at names alone"
    with pytest.raises(ValueError) as caught:
        source(tmp_path).prepare(0)
    assert str(caught.value).startswith(f"{path}: cannot be read as an image: ")
    assert "\n" not in str(caught.value)


# --- arrays


def arrays(n=40, n_test=12, classes=4, shape=(6, 6, 3), dtype=np.uint8):
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 255, (n, *shape)).astype(dtype),
        "y_train": np.arange(n) % classes,
        "x_test": rng.integers(0, 255, (n_test, *shape)).astype(dtype),
        "y_test": np.arange(n_test) % classes,
    }


def npz(folder, content, **options):
    path = folder / "data.npz"
    np.savez_compressed(path, **content)
    return own_data.describe({"kind": "arrays", "name": "mine", "path": str(path)} | options)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(6, 6, 3), (6, 6)])
def test_arrays_become_images_in_their_splits(tmp_path, shape, dtype):
    content = arrays(shape=shape, dtype=dtype)
    dataset = npz(tmp_path, content, validation=0.2).prepare(0)
    channels = 3 if len(shape) == 3 else 1
    assert dataset.input_shape == (channels, 6, 6) and dataset.classes == ("0", "1", "2", "3")
    assert dataset.train.y.bincount().tolist() == [8, 8, 8, 8]
    assert dataset.validation.y.bincount().tolist() == [2, 2, 2, 2]
    assert dataset.test.y.tolist() == content["y_test"].tolist()
    # scaling keeps which image is which: compare after standardising both sides the same way
    images = torch.from_numpy(content["x_train"].reshape(40, 6, 6, channels).astype(np.float64))
    expected = standard(images.permute(0, 3, 1, 2))
    found = standard(torch.cat([dataset.train.x, dataset.validation.x]).double())
    distance = torch.cdist(found.flatten(1), expected.flatten(1))
    assert distance.min(dim=1).values.max() < 1e-3
    index = distance.argmin(dim=1)
    assert sorted(index.tolist()) == list(range(40))
    labels = torch.cat([dataset.train.y, dataset.validation.y])
    assert labels.tolist() == content["y_train"][index.numpy()].tolist()


def standard(x):
    """Every channel with mean 0 and deviation 1."""
    return (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True)


def test_names_of_classes(tmp_path):
    names = ["ant", "bee", "cow", "dog"]
    assert npz(tmp_path, arrays(), classes=names).prepare(0).classes == tuple(names)


def changed(**changes):
    return {key: value for key, value in (arrays() | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (changed(y_test=None), "has no array y_test, expected x_train"),
        (changed(y_test=np.arange(12)), "labels in y_test span 0 to 11, expected 0 to 3"),
        (changed(y_train=np.arange(40) % 4 - 1), "labels in y_train span -1 to 2, expected 0 to"),
        (changed(y_train=np.arange(40) % 3 + 1), "y_train has no sample of class 0"),
        (changed(y_train=np.zeros(40, int), y_test=np.zeros(12, int)), "y_train has one class"),
        (changed(y_train=np.arange(39) % 4), "y_train is int64 of shape (39,), expected integers"),
        (changed(y_train=np.arange(40) % 4 / 1), "y_train is float64 of shape (40,)"),
        (changed(x_test=np.zeros((12, 5, 6, 3), np.uint8)), "images of x_test have shape (5"),
        (changed(x_train=np.zeros((40, 108), np.uint8)), "x_train is uint8 of shape (40, 108)"),
        (changed(x_train=np.zeros((40, 6, 6, 3), int)), "x_train is int64 of shape"),
        (changed(x_train=np.zeros((0, 6, 6, 3), np.uint8), y_train=np.zeros(0, int)),
         "x_train is empty"),
    ],
)  # fmt: skip
def test_wrong_arrays_are_refused_before_images_are_read(tmp_path, content, said):
    source = npz(tmp_path, content)
    line = source.missing(None)
    assert line.startswith(f"{tmp_path}/data.npz: {said}")
    with pytest.raises(ValueError) as caught:
        source.prepare(0)
    assert str(caught.value) == line and "\n" not in line


def test_labels_beyond_the_named_classes_are_refused(tmp_path):
    line = npz(tmp_path, arrays(), classes=["a", "b", "c"]).missing(None)
    assert "labels in y_train span 0 to 3, expected 0 to 2" in line


def test_values_that_are_not_finite_are_refused(tmp_path):
    content = arrays(dtype=np.float32)
    content["x_test"][3, 2, 2, 0] = np.nan
    with pytest.raises(ValueError, match="data.npz: x_test holds values that are not finite"):
        npz(tmp_path, content).prepare(0)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_archive_is_refused(tmp_path, share):
    source = npz(tmp_path, arrays())
    path = tmp_path / "data.npz"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert source.missing(None).startswith(f"{path}: cannot be read as .npz: ")


def test_a_changed_byte_is_noticed_when_images_are_read(tmp_path):
    source = npz(tmp_path, arrays())
    path = tmp_path / "data.npz"
    content = bytearray(path.read_bytes())
    content[1000] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path}: cannot be read as .npz: "):
        source.prepare(0)


def test_pickled_objects_are_refused(tmp_path):
    content = arrays() | {"y_train": np.array([{}] * 40, dtype=object)}
    line = npz(tmp_path, content).missing(None)
    assert line.startswith(f"{tmp_path}/data.npz: cannot be read as .npz: Object arrays")
