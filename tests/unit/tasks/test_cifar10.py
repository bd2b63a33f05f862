import hashlib
import pickle
import shutil
import tarfile

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from ecqx.tasks.datasets import cifar10
from ecqx.tasks.task import Budget, Task

NAMES = [f"thing{number}" for number in range(10)]
PER_BATCH = 40


def md5_of(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Data folder with the files of CIFAR-10, each with few images, and what is in them."""
    root = tmp_path_factory.mktemp("cifar")
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    rng = np.random.default_rng(0)
    content = {}
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        pixels = rng.integers(0, 256, (PER_BATCH, 3072), dtype=np.uint8)
        labels = rng.permutation(np.arange(PER_BATCH) % 10).tolist()
        content[name] = (pixels.reshape(-1, 3, 32, 32), labels)
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": labels}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": NAMES}))
    return root, content


@pytest.fixture
def root(published, tmp_path, monkeypatch):
    """A copy of the folder, whose files torchvision takes for the published ones."""
    shutil.copytree(published[0], tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "cifar-10-batches-py"
    for attribute in ("train_list", "test_list"):
        listed = [[name, md5_of(folder / name)] for name, _ in getattr(CIFAR10, attribute)]
        monkeypatch.setattr(CIFAR10, attribute, listed)
    meta = {**CIFAR10.meta, "md5": md5_of(folder / "batches.meta")}
    monkeypatch.setattr(CIFAR10, "meta", meta)
    return tmp_path


def as_pixels(x):
    mean, deviation = (torch.tensor(v)[:, None, None] for v in (cifar10.MEAN, cifar10.DEVIATION))
    pixels = (x * deviation + mean) * 255
    assert (pixels - pixels.round()).abs().max() < 1e-3
    return pixels.round().to(torch.uint8).numpy()


def test_the_archive_is_that_of_torchvision():
    archive = cifar10.ARCHIVE
    assert archive.url == CIFAR10.url
    assert (archive.folder, archive.file_name) == (CIFAR10.base_folder, CIFAR10.filename)
    listed = [name for name, _ in (*CIFAR10.train_list, *CIFAR10.test_list)]
    assert archive.content == (*listed, CIFAR10.meta["filename"])


def test_every_image_is_in_one_split_with_its_label(root, published):
    dataset = cifar10.prepare(0, root)
    assert dataset.classes == tuple(NAMES) and dataset.input_shape == (3, 32, 32)
    official = {
        image.tobytes(): label
        for name, (images, labels) in published[1].items()
        if name != "test_batch"
        for image, label in zip(images, labels, strict=True)
    }
    seen = []
    for split in (dataset.train, dataset.validation):
        for image, label in zip(as_pixels(split.x), split.y.tolist(), strict=True):
            assert official[image.tobytes()] == label
            seen.append(image.tobytes())
    assert len(seen) == len(set(seen)) == 200
    images, labels = published[1]["test_batch"]
    assert np.array_equal(as_pixels(dataset.test.x), images)
    assert dataset.test.y.tolist() == labels


def test_validation_has_a_tenth_of_every_class(root):
    dataset, again, other = (cifar10.prepare(seed, root) for seed in (0, 0, 1))
    assert dataset.validation.y.bincount().tolist() == [2] * 10
    assert dataset.train.y.bincount().tolist() == [18] * 10
    assert torch.equal(dataset.validation.x, again.validation.x)
    assert not torch.equal(dataset.validation.x, other.validation.x)


def test_batches_are_augmented(root):
    dataset = cifar10.prepare(0, root)
    task = Task.from_dataset(dataset, "resnet20", Budget(1, 1e-3, 32), order_seed=0)
    x, y = next(task.batches(1))
    assert x.shape == (32, 3, 32, 32) and x.is_contiguous()
    # what comes in over the border is the mean color
    assert (x == 0).any()
    known = {image.tobytes() for image in task.train.x.numpy()}
    assert sum(image.tobytes() in known for image in x.numpy()) < 5


def test_the_archive_is_unpacked(root, monkeypatch):
    before = cifar10.prepare(0, root)
    path = root / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(root / "cifar-10-batches-py", "cifar-10-batches-py")
    shutil.rmtree(root / "cifar-10-batches-py")
    with pytest.raises(OSError, match="is damaged, its SHA256 checksum is") as caught:
        cifar10.prepare(0, root)
    assert str(path) in str(caught.value)
    archive = cifar10.Archive(
        cifar10.ARCHIVE.url, md5_of(path), cifar10.ARCHIVE.folder, cifar10.ARCHIVE.content
    )
    monkeypatch.setattr(cifar10, "ARCHIVE", archive)
    assert torch.equal(cifar10.prepare(0, root).train.x, before.train.x)


def test_missing_and_damaged_files_are_named(root):
    assert cifar10.missing(root) is None
    path = root / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OSError, match="is damaged") as caught:
        cifar10.prepare(0, root)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    path.unlink()
    assert cifar10.missing(root).startswith(f"{path} is missing")
    with pytest.raises(FileNotFoundError, match="data_batch_3 is missing"):
        cifar10.prepare(0, root)
    shutil.rmtree(path.parent)
    line = cifar10.missing(root)
    assert "put cifar-10-python.tar.gz from https://www.cs.toronto.edu" in line
    assert str(root) in line and "\n" not in line
    assert "data_root" in cifar10.missing(None)
