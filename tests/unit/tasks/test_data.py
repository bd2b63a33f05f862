import dataclasses

import pytest
import torch

from ecqx.tasks import data
from ecqx.tasks.data import Dataset, Split


def make_split(n=6, *, mask=False, seed=0):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 1, 4, 5, generator=rng)
    return Split(x, torch.arange(n) % 3, x[:, 0] > 0 if mask else None)


def make_dataset(**changes):
    splits = {
        name: make_split(seed=seed, mask=name == "test")
        for seed, name in enumerate(("train", "validation", "test"))
    }
    return Dataset(**{"name": "toy", "classes": ("a", "b", "c"), **splits, **changes})


def test_save_and_load_give_the_same_dataset(tmp_path):
    dataset = make_dataset()
    data.save(dataset, tmp_path / "data.pt")
    loaded = data.load(tmp_path / "data.pt")
    assert (loaded.name, loaded.classes) == ("toy", ("a", "b", "c"))
    assert loaded.input_shape == (1, 4, 5)
    for name in ("train", "validation", "test"):
        before, after = getattr(dataset, name), getattr(loaded, name)
        assert torch.equal(before.x, after.x)
        assert torch.equal(before.y, after.y)
    assert loaded.train.mask is None
    assert torch.equal(loaded.test.mask, dataset.test.mask)


def test_the_same_dataset_is_saved_as_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        data.save(make_dataset(), tmp_path / folder / "data.pt")
    assert (tmp_path / "a/data.pt").read_bytes() == (tmp_path / "b/data.pt").read_bytes()


def test_load_names_the_path_of_a_missing_file(tmp_path):
    path = tmp_path / "absent.pt"
    with pytest.raises(ValueError, match="No such file") as caught:
        data.load(path)
    assert str(path) in str(caught.value)


def test_load_names_the_path_of_a_truncated_file(tmp_path):
    path = tmp_path / "data.pt"
    data.save(make_dataset(), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="cannot read data set") as caught:
        data.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ([1, 2], "not a data set"),
        ({"format": 99}, "not a data set of format 1"),
        ({"format": 1, "name": "toy", "classes": ["a"]}, "'splits' is missing"),
    ],
)
def test_load_refuses_other_content(tmp_path, content, cause):
    path = tmp_path / "data.pt"
    torch.save(content, path)
    with pytest.raises(ValueError, match=cause) as caught:
        data.load(path)
    assert str(path) in str(caught.value)


def test_load_refuses_invalid_tensors(tmp_path):
    path = tmp_path / "data.pt"
    data.save(make_dataset(), path)
    content = torch.load(path, weights_only=True)
    content["splits"]["test"]["y"] += 10
    torch.save(content, path)
    with pytest.raises(ValueError, match="labels of the test split span 10 to 12") as caught:
        data.load(path)
    assert str(path) in str(caught.value)


def test_load_does_not_run_code(tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"format": 1, "name": Payload()}, tmp_path / "data.pt")
    with pytest.raises(ValueError, match="cannot read data set"):
        data.load(tmp_path / "data.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": torch.zeros(6, 4, 5)}, "expected float32"),
        ({"x": torch.zeros(6, 1, 4, 5, dtype=torch.float64)}, "expected float32"),
        ({"x": torch.full((6, 1, 4, 5), torch.inf)}, "not finite"),
        ({"y": torch.zeros(5, dtype=torch.int64)}, r"expected int64 \(6,\)"),
        ({"y": torch.zeros(6)}, "expected int64"),
        ({"mask": torch.zeros(6, 4, 4, dtype=torch.bool)}, r"expected bool \(6, 4, 5\)"),
        ({"mask": torch.zeros(6, 4, 5)}, "expected bool"),
    ],
)
def test_split_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(make_split(), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ("a", "b")}, "span 0 to 2, expected 0 to 1"),
        ({"test": Split(torch.zeros(2, 3, 4, 5), torch.arange(2))}, "test split have shape"),
        ({"train": Split(torch.zeros(2, 1, 4, 5), torch.tensor([0, -1]))}, "span -1 to 0"),
        ({"validation": make_split(0)}, "validation split is empty"),
    ],
)
def test_dataset_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        make_dataset(**changes)
