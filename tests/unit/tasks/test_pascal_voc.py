import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import VOCSegmentation

from ecqx.seeding import generator
from ecqx.tasks import data
from ecqx.tasks.datasets import pascal_voc
from ecqx.tasks.task import Budget, Task
from tests.voc_tree import write_tree

SIDE = 48


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("voc")
    write_tree(root, n_train=20, n_val=6)
    return root


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(pascal_voc, "SIDE", SIDE)


@pytest.fixture
def own_tree(tree, tmp_path, small):
    """A copy of the tree to be spoilt."""
    shutil.copytree(tree, tmp_path, dirs_exist_ok=True)
    return tmp_path / pascal_voc.ARCHIVE.folder


def test_classes_and_archive_are_those_of_torchvision():
    from torchvision.datasets.voc import DATASET_YEAR_DICT
    from torchvision.models.segmentation import FCN_ResNet50_Weights

    published = DATASET_YEAR_DICT["2012"]
    assert pascal_voc.ARCHIVE.file_name == published["filename"]
    assert pascal_voc.ARCHIVE.folder == published["base_dir"]
    with_background = FCN_ResNet50_Weights.DEFAULT.meta["categories"]
    assert ("__background__", *pascal_voc.CLASSES) == tuple(with_background)


def test_statistics_are_those_of_published_weights():
    from torchvision.models import ResNet18_Weights

    transform = ResNet18_Weights.DEFAULT.transforms()
    assert (tuple(transform.mean), tuple(transform.std)) == (pascal_voc.MEAN, pascal_voc.DEVIATION)
    assert transform.crop_size[0] == pascal_voc.SIDE


def test_labels_and_class_maps_are_those_of_the_segmentations(tree, small):
    """Against torchvision's own reading of the files, pixel by pixel where there is no resizing."""
    test = pascal_voc.prepare(0, tree).test
    published = VOCSegmentation(tree, image_set="val")
    assert len(test) == len(published) == 6
    for row, (_, segmentation) in enumerate(published):
        values = set(np.unique(segmentation).tolist()) - {0, 255}
        assert {c + 1 for c in test.y[row].nonzero().flatten().tolist()} == values
        drawn = np.array(segmentation)
        rows, columns = (((np.arange(SIDE) + 0.5) * n / SIDE).astype(int) for n in drawn.shape)
        expected = drawn[rows][:, columns]
        expected[expected == 255] = 0
        assert np.array_equal(test.mask[row].numpy(), expected)
        assert 255 in drawn


def test_images_are_resized_and_standardised(tree, small):
    test = pascal_voc.prepare(0, tree).test
    published = VOCSegmentation(tree, image_set="val")
    for x, (image, _) in zip(test.x, published, strict=True):
        resized = np.array(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) / 255
        expected = (resized - np.array(pascal_voc.MEAN)) / np.array(pascal_voc.DEVIATION)
        torch.testing.assert_close(x, torch.from_numpy(expected).movedim(-1, 0).float())


def test_validation_is_split_off_training(tree, small):
    dataset = pascal_voc.prepare(0, tree)
    again, other = pascal_voc.prepare(0, tree), pascal_voc.prepare(1, tree)
    assert dataset.multilabel and dataset.classes == pascal_voc.CLASSES
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (16, 4, 6)
    assert torch.equal(dataset.train.x, again.train.x)
    assert not torch.equal(dataset.validation.x, other.validation.x)
    drawn = torch.cat([dataset.train.x, dataset.validation.x]).flatten(1)
    assert len(drawn.unique(dim=0)) == 20
    published = VOCSegmentation(tree, image_set="train")
    means = sorted(np.array(image.resize((SIDE, SIDE))).mean() for image, _ in published)
    back = drawn.view(20, 3, -1) * torch.tensor(pascal_voc.DEVIATION)[:, None]
    back = (back + torch.tensor(pascal_voc.MEAN)[:, None]).mean((1, 2)) * 255
    assert back.sort().values.tolist() == pytest.approx(means, abs=1.0)


def test_a_sample_counts_for_its_rarest_class():
    y = torch.tensor([[1, 1, 0], [1, 0, 1], [1, 0, 0], [1, 0, 1]], dtype=torch.bool)
    assert pascal_voc._rarest_class(y).tolist() == [1, 2, 0, 2]


def test_the_task_is_multilabel(tree, small, tmp_path):
    data.save(pascal_voc.prepare(0, tree), tmp_path / "data.pt")
    dataset = data.load(tmp_path / "data.pt")
    task = Task.from_dataset(dataset, "resnet18", Budget(1, 1e-3, 8), order_seed=0)
    assert task.n_classes == 20 and task.input_shape == (3, SIDE, SIDE)
    assert task.augment is pascal_voc.augment
    x, y = next(task.batches(1))
    right = 20.0 * y - 10
    assert task.score(right, y) == 1.0
    assert task.loss(right, y).item() < 1e-3 < task.loss(-right, y).item()


def test_augmentation_cuts_a_window_and_mirrors(global_rng_untouched):
    """An image of its own coordinates tells for every pixel where it was taken from."""
    side, n = 40, 300
    ramp = (torch.arange(side) + 0.5) / side
    image = torch.stack([ramp.expand(side, side), ramp[:, None].expand(side, side)])
    x = image.expand(n, 2, side, side).clone()
    varied = pascal_voc.augment(x, generator(0))
    assert torch.equal(x, image.expand_as(x)) and varied.shape == x.shape
    inner = varied[..., 2:-2, 2:-2]  # at the border a pixel of the source is cut in half
    horizontal, vertical = inner[:, 0].diff(dim=2) * side, inner[:, 1].diff(dim=1) * side
    for step in (horizontal, vertical):
        flat = step.flatten(1)
        torch.testing.assert_close(flat, flat[:, :1].expand_as(flat), atol=1e-3, rtol=0)
    horizontal, vertical = horizontal[:, 0, 0], vertical[:, 0, 0]
    torch.testing.assert_close(horizontal.abs(), vertical, atol=1e-3, rtol=0)
    assert 0.699 < vertical.min() < 0.72 and 0.98 < vertical.max() < 1.001
    assert 0.4 < (horizontal < 0).double().mean() < 0.6
    middle = inner.mean(dim=(2, 3))
    assert bool((middle.min(0).values < 0.4).all() and (middle.max(0).values > 0.6).all())


def test_augmentation_comes_from_the_generator_alone(global_rng_untouched):
    x = torch.rand(4, 3, 16, 16, generator=generator(0))
    first, again, other = (pascal_voc.augment(x, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_missing_files_are_named(own_tree, tmp_path):
    assert pascal_voc.missing(tmp_path) is None
    (own_tree / "ImageSets/Segmentation/val.txt").unlink()
    assert str(own_tree / "ImageSets/Segmentation/val.txt") in pascal_voc.missing(tmp_path)
    with pytest.raises(FileNotFoundError, match="val.txt is missing"):
        pascal_voc.prepare(0, tmp_path)
    shutil.rmtree(own_tree)
    line = pascal_voc.missing(tmp_path)
    assert "put VOCtrainval_11-May-2012.tar from http" in line and "\n" not in line
    with pytest.raises(FileNotFoundError, match="put VOCtrainval"):
        pascal_voc.prepare(0, tmp_path)
    assert "data_root" in pascal_voc.missing(None)


def test_a_corrupt_archive_is_named(tmp_path):
    path = tmp_path / "VOCtrainval_11-May-2012.tar"
    path.write_bytes(b"not a tar")
    with pytest.raises(OSError, match="is damaged, its SHA256 checksum is") as caught:
        pascal_voc.prepare(0, tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "part", ["JPEGImages/2007_val003.jpg", "SegmentationClass/2007_val003.png"]
)
def test_broken_files_are_named(own_tree, tmp_path, part):
    path = own_tree / part
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="cannot be read as an image") as caught:
        pascal_voc.prepare(0, tmp_path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="cannot be read as an image"):
        pascal_voc.prepare(0, tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="is listed, but there is no such file") as caught:
        pascal_voc.prepare(0, tmp_path)
    assert str(path) in str(caught.value)


def test_an_image_in_both_lists_is_refused(own_tree, tmp_path):
    lists = own_tree / "ImageSets/Segmentation"
    name = (lists / "train.txt").read_text().split()[7]
    for file in ("val.txt", "train.txt"):
        before = (lists / file).read_text()
        (lists / file).write_text(f"{before}{name}\n")
        with pytest.raises(ValueError) as caught:
            pascal_voc.prepare(0, tmp_path)
        assert str(caught.value) == (
            f"{own_tree}/JPEGImages/{name}.jpg: is listed twice in train.txt and val.txt, "
            "expected once"
        )
        (lists / file).write_text(before)


def test_other_segmentations_are_refused(own_tree, tmp_path):
    path = own_tree / "SegmentationClass/2007_val003.png"
    drawn = np.array(Image.open(path))
    for spoilt, mode, message in (
        (np.where(drawn == 255, 21, drawn).astype(np.uint8), "P", "holds the value 21, expected 0"),
        (drawn, "L", "mode L, expected a palette image"),
        (drawn[:-1], "P", "pixels, those of 2007_val003.jpg are"),
    ):
        image = Image.fromarray(spoilt)
        if mode == "P":
            image.putpalette([0] * 768)
        image.save(path)
        with pytest.raises(ValueError, match=message) as caught:
            pascal_voc.prepare(0, tmp_path)
        assert str(path) in str(caught.value)
