import io
import os
import struct
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

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


@pytest.mark.parametrize(
    ("normalisation", "mean", "std"),
    [
        ("none", [0, 0, 0], [1, 1, 1]),
        ({"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
         [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ({"mean": 0.5, "std": [0.5]}, [0.5] * 3, [0.5] * 3),
    ],
)  # fmt: skip
def test_inputs_are_scaled_as_a_network_was_trained_with(tmp_path, normalisation, mean, std):
    """The same pixels as torchvision's transforms make of them."""
    fill(tmp_path, {"a": 10, "b": 10})
    dataset = source(tmp_path, image_size=8, normalisation=normalisation).prepare(0)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    expected = torch.stack([transform(Image.open(p)) for p in sorted(tmp_path.glob("*/*.png"))])
    found = torch.cat([getattr(dataset, name).x for name in SPLITS])
    distance = torch.cdist(found.flatten(1), expected.flatten(1))
    assert distance.min(dim=1).values.max() < 1e-5
    assert sorted(distance.argmin(dim=1).tolist()) == list(range(20))


def test_a_channel_without_variation_in_training_does_not_blow_up_the_test(tmp_path):
    fill(tmp_path / "train", {"a": 10, "b": 10}, shade=100)
    fill(tmp_path / "test", {"a": 3, "b": 2}, shade=151)
    dataset = source(tmp_path, image_size=8).prepare(0)
    assert dataset.train.x[:, 2].abs().max() < 1e-6
    torch.testing.assert_close(dataset.test.x[:, 2], torch.full((5, 8, 8), 0.2))


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
        (
            lambda p: [fill(p / name, {"a": 9, "b": 9}) for name in ("train", "val", "test")],
            "{p}: holds a folder val beside train, expected only train, validation, test",
        ),
        (
            lambda p: [fill(p / name, {"a": 9, "b": 9}) for name in ("train", "Test")],
            "{p}: holds a folder Test beside train, expected only train, validation, test",
        ),
        (
            lambda p: (fill(p, {"a": 9, "b": 9}), fill(p / "b", {"sub": 50})),
            "{p}/b: holds a folder sub, expected files",
        ),
        (
            lambda p: [fill(p / name, {"a": 9, "b": 9}) for name in ("Train", "Test")],
            "{p}/Test: holds a folder a, expected files",
        ),
        (
            lambda p: (fill(p, {"a": 9, "b": 9}), grey(p / "b/000.png", np.uint16)),
            "{p}/b/000.png: mode I;16, expected 8 bits per channel",
        ),
        (
            lambda p: fill(p, {"a": 2, "b": 2}),
            "{p}: 4 files leave none for test, expected more files, or a folder test",
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


def test_training_must_keep_every_class(tmp_path):
    """Of one image, rounding leaves none to training if its share is less than a half."""
    fill(tmp_path, {"a": 20, "b": 1})
    assert source(tmp_path).missing(None) is None
    photos = source(tmp_path, validation=0.3, test=0.4)
    line = photos.missing(None)
    assert line == (
        f"{tmp_path}/b: a share of 0.3 leaves none of its 1 files for training, "
        "expected more files, or smaller validation and test"
    )
    with pytest.raises(ValueError) as caught:
        photos.prepare(0)
    assert str(caught.value) == line


def grey(path, dtype):
    values = (np.arange(256).reshape(16, 16) * (1 if dtype == np.float32 else 257)).astype(dtype)
    Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize(
    ("name", "dtype", "mode"),
    [("a.png", np.uint16, "I;16"), ("a.tif", np.int32, "I"), ("a.tiff", np.float32, "F")],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_more_than_8_bits_are_refused(tmp_path, name, dtype, mode, channels):
    path = grey(tmp_path / name, dtype)
    with pytest.raises(ValueError) as caught:
        source(tmp_path, channels=channels)._read(path)
    assert str(caught.value) == f"{path}: mode {mode}, expected 8 bits per channel"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_transparent_is_white(tmp_path, mode, channels):
    """Half of the image is transparent and hides black there; the other half is dark."""
    path = tmp_path / "a.png"
    if mode == "P":
        image = Image.fromarray(np.repeat(np.uint8([[0, 1]]), 8, axis=0).repeat(4, axis=1))
        image.putpalette([0, 0, 0, 50, 50, 50])
        image.save(path, transparency=0)
    else:
        values = np.zeros((8, 8, len(mode)), np.uint8)
        values[:, 4:] = 50
        values[:, 4:, -1] = 255
        Image.fromarray(values, mode).save(path)
    pixels = source(tmp_path, image_size=8, channels=channels)._read(path)
    assert pixels[:, :, :4].eq(255).all() and pixels[:, :, 4:].eq(50).all()


def test_half_of_white_shines_through(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGBA", (8, 8), (100, 0, 255, 51)).save(path)
    pixels = source(tmp_path, image_size=8)._read(path)
    # a fifth of the color, four fifths of 255
    assert pixels[:, 0, 0].tolist() == [224, 204, 255]


def exif(*tags):
    """An EXIF block of one directory, as cameras write it; tags as (number, type, count, value)."""
    entries = b"".join(struct.pack("<HHI", *tag[:3]) + tag[3].ljust(4, b"\0") for tag in tags)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)


def turned(orientation):
    return (0x0112, 3, 1, struct.pack("<H", orientation))


@pytest.fixture
def corners():
    """An image of 8x8 whose quarters are of four greys."""
    quarters = np.uint8([[0, 80], [160, 240]])
    return Image.fromarray(quarters.repeat(4, axis=0).repeat(4, axis=1))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(10))
def test_images_are_turned_as_exif_says(tmp_path, corners, suffix, orientation):
    path = tmp_path / f"a{suffix}"
    block = Image.Exif()
    block[0x0112] = orientation
    corners.save(path, exif=block, quality=100)
    pixels = source(tmp_path, image_size=8, channels=1)._read(path)[0].int()
    # where the first row of the stored image is, and its first column
    expected = {
        2: [[80, 0], [240, 160]], 3: [[240, 160], [80, 0]], 4: [[160, 240], [0, 80]],
        5: [[0, 160], [80, 240]], 6: [[160, 0], [240, 80]], 7: [[240, 80], [160, 0]],
        8: [[80, 240], [0, 160]],
    }.get(orientation, [[0, 80], [160, 240]])  # fmt: skip
    assert (pixels[[[1, 1], [6, 6]], [1, 6]] - torch.tensor(expected)).abs().max() < 8


@pytest.mark.parametrize(
    "odd",
    [
        (0x0100, 11, 1, struct.pack("<f", 20.0)),  # width as a float
        (0x0100, 2, 2, b"20"),  # as text
        (0x011A, 2, 4, b"72 "),  # resolution as text
        (0x8769, 2, 4, b"72 "),  # place of another directory as text
    ],
)
def test_odd_exif_of_a_sound_image_does_not_matter(tmp_path, corners, odd):
    path = tmp_path / "a.jpg"
    tags = sorted([odd, turned(6)])
    corners.convert("RGB").save(path, exif=exif(*tags), quality=100)
    pixels = source(tmp_path, image_size=8)._read(path)
    assert pixels[0, 1, 1] > 150 and pixels[0, 1, 6] < 10


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


@pytest.mark.parametrize(
    ("suffix", "form"),
    [("jfif", "JPEG"), ("jpe", "JPEG"), ("pnm", "PPM"), ("tga", "TGA"), ("JFIF", "JPEG")],
)
def test_images_of_rarer_suffixes_are_read(tmp_path, suffix, form):
    fill(tmp_path, {"a": 10, "b": 10})
    for path in sorted(tmp_path.glob("*/*.png"))[::2]:
        with Image.open(path) as image:
            image.save(path.with_suffix(f".{suffix}"), format=form)
        path.unlink()
    photos = source(tmp_path)
    assert sum(len(getattr(photos.prepare(0), name)) for name in SPLITS) == 20
    assert photos.unread(None) is None


def test_what_is_not_read_is_counted_and_named(tmp_path):
    fill(tmp_path, {"a": 10, "b": 10})
    for name in ("a/0.heic", "b/1.HEIC", "a/notes.txt", "b/README", "extra.png", ".hidden"):
        (tmp_path / name).write_bytes(b"x")
    photos = source(tmp_path)
    line = f"{tmp_path}: 5 files are not read: 1 without suffix, 2 .heic, 1 .png, 1 .txt"
    assert photos.unread(None) == line and photos.missing(None) is None
    assert sum(len(getattr(photos.prepare(0), name)) for name in SPLITS) == 20


@pytest.mark.parametrize("name", [b"caf\xe9", b"two\nlines", b"tab\there"])
def test_a_class_that_is_no_text_is_refused(tmp_path, name):
    name = os.fsdecode(name)
    fill(tmp_path, {name: 10, "b": 10})
    line = f"{tmp_path}: got the class {name!r}, expected printable characters in UTF-8"
    assert source(tmp_path).missing(None) == line and line.isprintable()


def test_names_of_files_need_not_be_utf_8(tmp_path):
    fill(tmp_path, {"a": 10, "b": 10})
    path = tmp_path / "a" / os.fsdecode(b"caf\xe9.png")
    (tmp_path / "a/000.png").rename(path)
    assert source(tmp_path).missing(None) is None
    assert sum(len(getattr(source(tmp_path).prepare(0), name)) for name in SPLITS) == 20
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError) as caught:
        source(tmp_path).prepare(0)
    assert str(caught.value).startswith(f"{path}: cannot be read as an image")


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


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_arrays_are_scaled_as_a_network_was_trained_with(tmp_path, dtype):
    content, pair = arrays(dtype=dtype), {"mean": [0.1, 0.2, 0.3], "std": [1.0, 2.0, 4.0]}
    test = npz(tmp_path, content, normalisation=pair).prepare(0).test.x.numpy()
    pixels = content["x_test"].astype(float) / (255 if dtype == np.uint8 else 1)
    expected = (pixels - pair["mean"]) / pair["std"]
    np.testing.assert_allclose(test, expected.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-5)
    raw = npz(tmp_path, content, normalisation="none").prepare(0).test.x.numpy()
    np.testing.assert_allclose(raw, pixels.transpose(0, 3, 1, 2), rtol=1e-6)


def test_the_numbers_of_a_normalisation_are_those_of_channels(tmp_path):
    grey = npz(tmp_path, arrays(shape=(6, 6)), normalisation={"mean": [0, 0, 0], "std": 1})
    said = "normalisation.mean: got 3 numbers, expected 1 or 1, the number of channels"
    assert grey.missing(None) == said
    assert (
        npz(tmp_path, arrays(), normalisation={"mean": [0, 0, 0], "std": 1}).missing(None) is None
    )


def test_floats_of_any_precision_go_together(tmp_path):
    content = arrays(dtype=np.float32)
    content["x_test"] = content["x_test"].astype(np.float64)
    assert npz(tmp_path, content).missing(None) is None


@pytest.mark.parametrize(("value", "dtype"), [(7, np.uint8), (123456.7, np.float32)])
def test_a_constant_channel_of_training_is_only_shifted(tmp_path, value, dtype):
    content = arrays(dtype=dtype)
    content["x_train"][..., 2] = value
    content["x_test"][..., 2] = value + 1
    dataset = npz(tmp_path, content).prepare(0)
    step = 1 / 255 if dtype == np.uint8 else 1.0
    assert dataset.train.x[:, 2].abs().max() < 0.1 * step
    assert (dataset.test.x[:, 2] - step).abs().max() < 0.1 * step
    assert dataset.train.x[:, 1].std() == pytest.approx(1, abs=1e-3)


def test_small_numbers_are_no_constant(tmp_path):
    content = {k: v * 1e-9 if k[0] == "x" else v for k, v in arrays(dtype=np.float32).items()}
    assert npz(tmp_path, content).prepare(0).train.x.std() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("validation", "said"),
    [
        (0.6, "a share of 0.4 leaves none of the 1 images of class 2 for training, expected more"),
        (0.01, "a validation share of 0.01 leaves it none of 40 images, expected a larger share"),
    ],
)
def test_shares_that_leave_nothing_are_refused(tmp_path, validation, said):
    content = changed(y_train=np.r_[2, np.arange(39) % 2], y_test=np.arange(12) % 2)
    images = npz(tmp_path, content, validation=validation)
    line = images.missing(None)
    assert line.startswith(f"{tmp_path}/data.npz: {said}")
    with pytest.raises(ValueError) as caught:
        images.prepare(0)
    assert str(caught.value) == line


def test_values_too_large_to_standardise_are_refused(tmp_path):
    content = arrays(dtype=np.float32)
    content["x_train"][:] = 3e38
    with pytest.raises(ValueError, match=f"^{tmp_path}/data.npz: x holds values that are not fin"):
        npz(tmp_path, content).prepare(0)


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
        (changed(x_test=np.zeros((12, 6, 6, 3), np.float32)),
         "x_test is float32, x_train uint8, expected both uint8 or both float"),
        (changed(x_train=np.zeros((40, 3, 32, 32)), x_test=np.zeros((12, 3, 32, 32))),
         "x_train of shape (40, 3, 32, 32) looks like n x C x H x W, expected n x H x W x C"),
        (changed(x_train=np.zeros((40, 1, 6, 6)), x_test=np.zeros((12, 1, 6, 6))),
         "x_train of shape (40, 1, 6, 6) looks like n x C x H x W, expected n x H x W x C"),
        (changed(x_train=np.zeros((40, 2, 6, 6)), x_test=np.zeros((12, 2, 6, 6))),
         "x_train of shape (40, 2, 6, 6) looks like n x C x H x W, expected n x H x W x C"),
        (changed(y_train=np.r_[200_000_000, np.arange(39) % 4]),
         "y_train has no sample of class 4, expected all of 0 to 200000000"),
        (changed(y_train=np.r_[5, np.arange(39) % 4]),
         "y_train has no sample of class 4, expected all of 0 to 5"),
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


@pytest.mark.parametrize(
    ("train", "test", "refused"),
    [
        ((0, 1), (0, 255), True),
        ((0, 255), (0, 1), True),
        ((0, 1), (-1, 1), True),
        ((-1, 1), (0, 1), True),
        ((-1, 1), (0, 255), True),
        ((-1, 1), (-0.9, 1.2), False),
        ((0, 1), (0, 0.4), False),
        ((0, 1), (0.2, 0.7), False),
        ((100, 200), (90, 150), False),
    ],
)
def test_training_and_test_of_unlike_range_are_refused(tmp_path, train, test, refused):
    rng = np.random.default_rng(0)
    content = arrays() | {
        "x_train": rng.uniform(*train, (40, 6, 6, 3)),
        "x_test": rng.uniform(*test, (12, 6, 6, 3)),
    }
    # single values may lie far out
    content["x_train"][3, 2, 2, 0] *= 3
    if not refused:
        assert len(npz(tmp_path, content).prepare(0).test) == 12
        return
    with pytest.raises(ValueError, match="x_test spans .*, x_train .*, expected both in the same"):
        npz(tmp_path, content).prepare(0)


def test_an_array_that_announces_too_little_is_refused(tmp_path):
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for key, array in arrays().items():
            file = io.BytesIO()
            np.save(file, array)
            kept = file.getvalue().replace(b"(40, 6, 6, 3)", b"(20, 6, 6, 3)")
            archive.writestr(f"{key}.npy", kept.replace(b"(40,)", b"(20,)"))
    source = own_data.describe({"kind": "arrays", "name": "mine", "path": str(path)})
    assert source.missing(None) == (
        f"{path}: cannot be read as .npz: y_train goes on behind (20,), which its header announces"
    )


def set_bits(content, offset_local, offset_central, value):
    """Change two bytes of the header of each member of an archive, in both of its places."""
    for signature, offset in ((b"PK\3\4", offset_local), (b"PK\1\2", offset_central)):
        at = -1
        while (at := content.find(signature, at + 1)) >= 0:
            content[at + offset : at + offset + 2] = value.to_bytes(2, "little")


@pytest.mark.parametrize(
    ("places", "value", "said"),
    [((6, 8), 1, "encrypted"), ((8, 10), 9, "compression"), ((8, 10), 99, "compression")],
)
def test_encrypted_archives_and_other_packers_are_refused(tmp_path, places, value, said):
    source = npz(tmp_path, arrays())
    path = tmp_path / "data.npz"
    content = bytearray(path.read_bytes())
    set_bits(content, *places, value)
    path.write_bytes(content)
    line = source.missing(None)
    assert line.startswith(f"{path}: cannot be read as .npz: ") and said in line
    assert "\n" not in line


@pytest.mark.parametrize("start", [b"\x93NUMPY", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b\x08", b"Rar!"])
def test_another_kind_of_file_is_refused(tmp_path, start):
    source = npz(tmp_path, arrays())
    path = tmp_path / "data.npz"
    path.write_bytes(start + bytes(500))
    assert source.missing(None) == f"{path}: cannot be read as .npz: File is not a zip file"
