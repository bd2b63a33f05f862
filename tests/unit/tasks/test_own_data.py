"""What all kinds of own data have in common."""

import subprocess
import sys

import pytest

from ecqx.tasks import datasets, own_data


def test_kinds_and_their_keys():
    assert own_data.kinds() == ["arrays", "audio_folder", "image_folder"]
    for kind in own_data.kinds():
        keys = own_data.keys(kind)
        assert [key for key, needed in keys.items() if needed] == ["name", "path"]
    assert "speaker" in own_data.keys("audio_folder")


def test_descriptions_cost_no_torch():
    code = (
        "import sys; from ecqx.tasks import own_data;"
        "[own_data.describe({'kind': k, 'name': 'a', 'path': 'b'}) for k in own_data.kinds()];"
        "print([m for m in ('torch', 'numpy', 'PIL', 'soundfile') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


ENTRY = {"kind": "image_folder", "name": "photos", "path": "photos"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "images"}, "kind: got 'images', expected one of arrays"),
        ({"kind": None}, "kind: got None"),
        ({"image_sise": 32}, "image_sise: unknown key, expected one of .*image_size"),
        ({"name": "my photos"}, "name: got 'my photos', expected letters"),
        ({"path": ""}, "path: got ''"),
        ({"image_size": 4}, "image_size: got 4, expected an integer from 8 to 4096"),
        ({"image_size": 10**9}, "image_size: got 1000000000"),
        ({"image_size": 32.0}, "image_size: got 32.0"),
        ({"channels": 2}, "channels: got 2, expected one of 1, 3"),
        ({"channels": True}, "channels: got True"),
        ({"augmentation": "flip"}, "augmentation: got 'flip', expected one of none, crop_flip"),
        ({"validation": 0}, "validation: got 0, expected a number between 0 and 1"),
        ({"validation": 0.6, "test": 0.5}, "test: got 0.5, expected less than"),
        ({"kind": "audio_folder", "sample_rate": 0}, "sample_rate: got 0"),
        ({"kind": "audio_folder", "seconds": "1"}, "seconds: got '1'"),
        ({"kind": "audio_folder", "seconds": float("inf")}, "seconds: got inf, expected a number"),
        ({"kind": "audio_folder", "seconds": float("nan")}, "seconds: got nan, expected a number"),
        ({"kind": "audio_folder", "speaker": "(a"}, "speaker: got .* regular expression"),
        ({"kind": "audio_folder", "speaker": 3}, "speaker: got 3"),
        ({"kind": "audio_folder", "speaker": "a"}, "speaker: got 'a' with 0 groups"),
        ({"kind": "arrays", "classes": ["a"]}, "classes: got .'a'., expected a list"),
        ({"kind": "arrays", "classes": ["a", "a"]}, "classes: got"),
        ({"kind": "arrays", "classes": "ab"}, "classes: got 'ab'"),
    ],
)
def test_describe_refuses(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        own_data.describe(ENTRY | changes)
    assert "\n" not in str(caught.value)


NORMALISED = [
    ("z", "got 'z', expected one of dataset, none, or a mapping with mean and std"),
    ({"mean": 0.5}, "got {'mean': 0.5}, expected one of dataset, none, or a mapping"),
    ({"mean": 0.5, "std": 0}, "std: got 0, expected a finite number above 0"),
    ({"mean": float("nan"), "std": 1}, "mean: got nan, expected a finite number, or a list"),
    ({"mean": True, "std": 1}, "mean: got True, expected a finite number"),
    ({"mean": [], "std": 1}, "mean: got [], expected a finite number"),
    ({"mean": ["a"], "std": 1}, "mean: got ['a'], expected a finite number"),
    (
        {"mean": [0.5, 0.5], "std": 1},
        "mean: got 2 numbers, expected 1 or 3, the number of channels",
    ),
]


@pytest.mark.parametrize(("value", "said"), NORMALISED)
def test_a_normalisation_of_another_form_is_refused(value, said):
    with pytest.raises(ValueError) as caught:
        own_data.describe(ENTRY | {"normalisation": value})
    joint = "." if said.startswith(("mean", "std")) else ": "
    assert str(caught.value).startswith(f"normalisation{joint}{said}")


def test_noise_in_deviations_needs_deviations():
    entry = {"kind": "audio_folder", "name": "a", "path": "b", "augmentation": "shift_noise"}
    with pytest.raises(ValueError, match="^augmentation: got 'shift_noise', whose noise is in"):
        own_data.describe(entry | {"normalisation": "none"})
    assert own_data.describe(entry | {"normalisation": {"mean": [0] * 15, "std": 1}}).augment


def test_describe_names_a_missing_key():
    with pytest.raises(ValueError, match="^path: missing"):
        own_data.describe({"kind": "arrays", "name": "a"})


def test_paths_start_at_the_data_folder(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    for path, root in (("photos", tmp_path), (str(tmp_path / "photos"), None), ("~/photos", None)):
        source = own_data.describe(ENTRY | {"path": path})
        assert source.locate(root) == tmp_path / "photos"
    relative = own_data.describe(ENTRY)
    assert relative.missing(None).startswith("photos: is relative to data_root")
    assert relative.missing(tmp_path / "x") == f"{tmp_path}/x/photos: no such file or folder"


def test_a_description_is_a_data_set_like_all_others(tmp_path):
    source = own_data.describe(ENTRY)
    datasets.register(source.name, source)
    assert datasets.get("photos") is source
    assert source.augment is None and "photos" not in datasets.names()
    crops = own_data.describe(ENTRY | {"augmentation": "crop_flip"})
    assert callable(crops.augment)
