import dataclasses

import pytest
import torch

from ecqx.tasks import data
from ecqx.tasks.data import Dataset, Split


def make_split(n=6, *, mask=False, seed=0):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 1, 4, 5, generator=rng)
    return Split(x, torch.arange(n) % 3, x[:, 0] > 0 if mask else None)


def make_multilabel_split(n=6, n_classes=3, *, mask=True, seed=0):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 1, 4, 5, generator=rng)
    classes = torch.randint(n_classes + 1, (n, 4, 5), generator=rng).to(torch.uint8)
    y = torch.stack([(classes == c + 1).flatten(1).any(dim=1) for c in range(n_classes)], dim=1)
    return Split(x, y, classes if mask else None)


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


def test_save_and_load_give_the_same_multilabel_dataset(tmp_path):
    split = make_multilabel_split()
    data.save(make_dataset(train=split, validation=split, test=split), tmp_path / "data.pt")
    loaded = data.load(tmp_path / "data.pt")
    assert loaded.multilabel and loaded.test.multilabel
    for name, before in vars(split).items():
        after = getattr(loaded.test, name)
        assert after.dtype == before.dtype and torch.equal(after, before)
    assert not make_dataset().multilabel


def test_what_is_done_to_loaded_tensors_does_not_reach_the_file(tmp_path):
    """The file is mapped into memory."""
    path = tmp_path / "data.pt"
    data.save(make_dataset(), path)
    before = path.read_bytes()
    data.load(path).train.x.zero_()
    assert path.read_bytes() == before


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
        ({"format": 99}, "not a data set of format 2"),
        ({"format": 2, "name": "toy", "classes": ["a"]}, "'splits' is missing"),
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

    torch.save({"format": 2, "name": Payload()}, tmp_path / "data.pt")
    with pytest.raises(ValueError, match="cannot read data set"):
        data.load(tmp_path / "data.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": torch.zeros(6)}, "expected float32"),
        ({"x": torch.zeros(6, 1, 4, 5, dtype=torch.float64)}, "expected float32"),
        ({"x": torch.full((6, 1, 4, 5), torch.inf)}, "not finite"),
        ({"y": torch.zeros(5, dtype=torch.int64)}, r"expected int64 \(6,\)"),
        ({"y": torch.zeros(6)}, "expected int64"),
        ({"y": torch.zeros(5, 3, dtype=torch.bool)}, r"or bool \(6, n_classes\)"),
        ({"y": torch.zeros(6, 3, dtype=torch.int64)}, r"or bool \(6, n_classes\)"),
        ({"y": torch.zeros(6, 3, 1, dtype=torch.bool)}, r"or bool \(6, n_classes\)"),
        ({"y": torch.tensor(0)}, r"expected int64 \(6,\)"),
        ({"mask": torch.zeros(6, 4, 4, dtype=torch.bool)}, r"bool or uint8 \(6, 4, 5\)"),
        ({"mask": torch.zeros(6, 4, 5)}, "expected bool or uint8"),
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
        ({"test": make_multilabel_split()}, "the test split and train differ in whether"),
        (
            {"test": dataclasses.replace(make_split(), mask=torch.full((6, 4, 5), 4).byte())},
            "class maps of the test split go up to 4, expected at most 3",
        ),
    ],
)
def test_dataset_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        make_dataset(**changes)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (make_multilabel_split(n_classes=4), "test split are for 4 classes, expected 3"),
        (
            dataclasses.replace(make_multilabel_split(), y=torch.zeros(6, 3, dtype=torch.bool)),
            "no sample of the test split has a class",
        ),
    ],
)
def test_multilabel_dataset_refuses(test, message):
    split = make_multilabel_split()
    with pytest.raises(ValueError, match=message):
        make_dataset(train=split, validation=split, test=test)


def test_multilabel_data_have_class_maps():
    with pytest.raises(ValueError, match=r"expected uint8 \(6, 4, 5\)"):
        dataclasses.replace(make_multilabel_split(), mask=torch.zeros(6, 4, 5, dtype=torch.bool))


def test_mask_of_a_class_map_holds_the_pixels_of_the_class():
    split = make_multilabel_split()
    index, target = torch.tensor([5, 0, 5, 2]), torch.tensor([0, 2, 1, 1])
    masks = split.mask_of(index, target)
    assert masks.dtype == torch.bool and masks.shape == (4, 4, 5)
    for mask, i, c in zip(masks, index, target, strict=True):
        assert mask.any()
        assert all(
            mask[row, column] == (split.mask[i, row, column] == c + 1)
            for row in range(4)
            for column in range(5)
        )


def test_mask_of_a_label_is_empty_for_other_classes():
    split = make_split(mask=True)
    index = torch.tensor([4, 1])
    assert torch.equal(split.mask_of(index, split.y[index]), split.mask[index])
    assert not split.mask_of(index, (split.y[index] + 1) % 3).any()


def test_a_class_map_serves_single_labels_too():
    split = dataclasses.replace(make_split(), mask=make_multilabel_split().mask)
    index = torch.arange(6)
    assert torch.equal(
        split.mask_of(index, split.y), split.mask.long() == split.y[:, None, None] + 1
    )


def test_mask_of_needs_a_mask():
    with pytest.raises(ValueError, match="the split has no mask"):
        make_split().mask_of(torch.tensor([0]), torch.tensor([0]))
