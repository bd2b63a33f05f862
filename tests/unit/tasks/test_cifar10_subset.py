from pathlib import Path

import numpy as np
import pytest

from ecqx.tasks import cifar10_subset
from tests.unit.tasks.test_cifar10 import PER_BATCH, published, root

__all__ = ["published", "root"]  # fixtures: a folder that torchvision takes for the published one


@pytest.fixture
def small(monkeypatch):
    """As many images as the folder of the test has."""
    monkeypatch.setattr(cifar10_subset, "PER_BATCH", PER_BATCH)
    monkeypatch.setattr(cifar10_subset, "TAKEN", (30, 7, 7, 7, 7))
    monkeypatch.setattr(cifar10_subset, "TAKEN_FOR_TEST", 7)


def test_the_first_images_of_every_batch_are_taken(root, published, small):
    arrays = cifar10_subset.subset(root)
    content = published[1]
    parts = [(f"data_batch_{k}", count) for k, count in enumerate((30, 7, 7, 7, 7), 1)]
    images = np.concatenate([content[name][0][:count] for name, count in parts])
    labels = np.concatenate([content[name][1][:count] for name, count in parts])
    np.testing.assert_array_equal(arrays["x_train"], np.moveaxis(images, 1, -1))
    np.testing.assert_array_equal(arrays["y_train"], labels)
    np.testing.assert_array_equal(
        arrays["x_test"], np.moveaxis(content["test_batch"][0][:7], 1, -1)
    )
    np.testing.assert_array_equal(arrays["y_test"], content["test_batch"][1][:7])


def test_the_file_is_written_where_the_configuration_looks(root, small, monkeypatch, capsys):
    arrays = cifar10_subset.subset(root)
    monkeypatch.setattr(cifar10_subset, "DIGEST", cifar10_subset.digest(arrays))
    path = root / "cifar10_subset.npz"
    written = []
    for _ in range(2):
        assert cifar10_subset.main([str(root)]) == 0
        written.append(path.read_bytes())
    assert capsys.readouterr().out.split() == [str(path)] * 2
    assert written[0] == written[1]
    with np.load(path) as found:
        assert sorted(found.files) == sorted(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)


def test_other_images_and_a_missing_archive_are_named_in_a_line(root, small, tmp_path, capsys):
    assert cifar10_subset.main([str(root)]) == 1
    assert f"expected {cifar10_subset.DIGEST}" in capsys.readouterr().err
    assert not (root / "cifar10_subset.npz").exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    assert cifar10_subset.main([str(empty)]) == 1
    error = capsys.readouterr().err
    assert "cifar-10-python.tar.gz" in error and error.count("\n") == 1


def test_the_digest_sees_names_types_shapes_and_values():
    base = {"x": np.arange(6, dtype=np.uint8), "y": np.arange(2, dtype=np.uint8)}
    others = [
        base | {"x": base["x"][::-1]}, base | {"x": base["x"].reshape(2, 3)},
        base | {"x": base["x"].view(np.int8)}, {"x": base["x"], "z": base["y"]},
    ]  # fmt: skip
    found = {cifar10_subset.digest(arrays) for arrays in (base, *others)}
    assert len(found) == 5 and all(len(text) == 64 for text in found)
    assert cifar10_subset.digest(dict(reversed(base.items()))) == cifar10_subset.digest(base)


def test_the_subset_has_the_sizes_and_the_digest_that_are_documented():
    assert sum(cifar10_subset.TAKEN) == 8068 and cifar10_subset.TAKEN_FOR_TEST == 1017
    text = (Path(__file__).parents[3] / "config/realdata.yaml").read_text()
    assert "8,068" in text and "1,017" in text and cifar10_subset.DIGEST in text
