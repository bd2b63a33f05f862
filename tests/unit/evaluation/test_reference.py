"""Files of references and maps: round trip, damage, no torch where none is needed."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch

from ecqx.evaluation.reference import (
    Reference,
    load_maps,
    load_reference,
    save_maps,
    save_reference,
)


@pytest.fixture
def reference():
    torch.manual_seed(0)
    return Reference(
        index=torch.tensor([4, 0, 0]),
        target=torch.tensor([1, 2, 0]),
        maps={"rap": torch.randn(3, 5, 7) * 1e-9, "grad_cam": torch.rand(3, 5, 7)},
        background=torch.randn(2, 1, 5, 7),
        correct=torch.tensor([True, False, True]),
        logits=torch.tensor([[0.1, torch.nan, 1e30]]).repeat(6, 1),
        accuracy=0.1 + 0.2,
        accuracy_validation=0.7,
    )


def test_reference_round_trip_is_exact(tmp_path, reference):
    path = tmp_path / "reference.npz"
    save_reference(path, reference)
    loaded = load_reference(path)
    for field in ("index", "target", "background", "correct", "logits"):
        own, back = getattr(reference, field), getattr(loaded, field)
        torch.testing.assert_close(back, own, rtol=0, atol=0, equal_nan=True)
    assert loaded.accuracy == reference.accuracy
    assert loaded.accuracy_validation == reference.accuracy_validation
    assert list(loaded.maps) == ["rap", "grad_cam"]
    assert all(torch.equal(loaded.maps[name], maps) for name, maps in reference.maps.items())


def test_same_reference_same_bytes(tmp_path, reference):
    for name in ("a", "b"):
        save_reference(tmp_path / name, reference)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_maps_keep_their_pattern_in_half_precision(tmp_path, reference):
    maps = dict(reference.maps)
    maps["huge"] = torch.randn(3, 5, 7) * 1e30
    maps["collapsed"] = torch.zeros(3, 5, 7)
    maps["broken"] = torch.full((3, 5, 7), torch.nan)
    save_maps(tmp_path / "maps.npz", maps)
    loaded = load_maps(tmp_path / "maps.npz")
    assert list(loaded) == list(maps)
    assert {array.dtype for array in loaded.values()} == {np.dtype(np.float16)}
    for name in ("rap", "grad_cam", "huge"):
        expected = (maps[name] / maps[name].abs().amax(dim=(1, 2), keepdim=True)).numpy()
        np.testing.assert_allclose(loaded[name], expected, atol=5e-4)
    assert not loaded["collapsed"].any()
    assert np.isnan(loaded["broken"]).all()


def test_maps_of_a_reference_are_read_without_torch(tmp_path, reference):
    path = tmp_path / "reference.npz"
    save_reference(path, reference)
    code = (
        "import sys; from ecqx.evaluation.reference import load_maps; "
        f"print(list(load_maps({str(path)!r})), 'torch' in sys.modules)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "['rap', 'grad_cam'] False"


@pytest.mark.parametrize("load", [load_reference, load_maps])
def test_missing_and_damaged_files_are_named(tmp_path, reference, load):
    path = tmp_path / "reference.npz"
    with pytest.raises(FileNotFoundError, match="reference.npz"):
        load(path)
    save_reference(path, reference)
    whole = path.read_bytes()
    for damaged in (b"", b"not an archive", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="reference.npz: cannot be read"):
            load(path)
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match="reference.npz: cannot be read .*a single array"):
        load(path)


def test_an_archive_that_is_no_reference_is_refused(tmp_path, reference):
    path = tmp_path / "maps.npz"
    save_maps(path, reference.maps)
    with pytest.raises(
        ValueError, match="not a reference, lacks index, target, correct, background, log"
    ):
        load_reference(path)
    save_reference(path, dataclasses.replace(reference, correct=torch.tensor([True])))
    with pytest.raises(ValueError, match="correct has 1 samples, index has 3"):
        load_reference(path)
