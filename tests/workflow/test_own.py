"""Own data and own models, described in the configuration alone."""

import json
import os

import numpy as np
import pytest
import soundfile
import torch
import yaml
from PIL import Image
from pipeline import own
from pipeline.planning import data_files

from tests.workflow.conftest import job_counts

NET = """
from torch import nn


def build(input_shape, n_classes):
    channels, height, width = input_shape
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, n_classes))
"""
PRETRAINING = {"epochs": 1, "learning_rate": 1.0e-3, "batch_size": 8, "weight_decay": 0.0}
BUDGET = {"epochs": 1, "learning_rate": 1.0e-3, "batch_size": 8}
ARRAYS = {"kind": "arrays", "name": "squares", "path": "squares.npz"}
MODEL = {"name": "net", "factory": "usernet:build"}


def config(dataset=ARRAYS, model=MODEL, root=None):
    task = {"dataset": dataset, "model": model, "pretraining": PRETRAINING, "budget": BUDGET,
            "points_per_job": 4}  # fmt: skip
    return {"tasks": ["mine"], "methods": ["uniform_ptq"], "task_settings": {"mine": task},
            "grids": {"uniform_ptq": [{"levels": [3, 15]}]},
            "data_root": str(root), "seeds": [0]}  # fmt: skip


def squares(folder, **changes):
    rng = np.random.default_rng(0)
    content = {
        "x_train": rng.integers(0, 255, (60, 8, 8), np.uint8), "y_train": np.arange(60) % 3,
        "x_test": rng.integers(0, 255, (15, 8, 8), np.uint8), "y_test": np.arange(15) % 3,
    }  # fmt: skip
    np.savez(folder / "squares.npz", **(content | changes))


def photos(folder, classes=("cat", "dog")):
    for name in classes:
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"photos/{name}/{number}.png")


def clips(folder, rate=16_000):
    for name in ("left", "right"):
        (folder / "clips" / name).mkdir(parents=True)
        for number in range(10):
            soundfile.write(folder / f"clips/{name}/ann-{number}.wav", np.zeros(rate), rate)


PHOTOS = {"kind": "image_folder", "name": "photos", "path": "photos", "image_size": 8}
CLIPS = {"kind": "audio_folder", "name": "clips", "path": "clips"}

# what is wrong -> (how to make it, data set, model, what is said)
WRONG = {
    "no folder": (lambda p: None, PHOTOS, "vgg16", ".dataset: {p}/photos: no such file or folder"),
    "one class": (
        lambda p: photos(p, ["cat"]), PHOTOS, "vgg16",
        ".dataset: {p}/photos: holds one class folder (cat), expected at least two",
    ),
    "rate": (
        lambda p: clips(p, 8_000), CLIPS, "mlp_gsc",
        ".dataset: {p}/clips/left/ann-0.wav: 8000 Hz, 1 channels, expected 16000 Hz mono",
    ),
    "one speaker": (
        clips, CLIPS | {"speaker": "^([a-z]+)-"}, "mlp_gsc",
        ".dataset: {p}/clips: the names tell 1 speaker (ann), expected at least 3",
    ),
    "folder beside train": (
        lambda p: [photos(p, [f"{part}/{name}" for name in ("cat", "dog")])
                   for part in ("train", "val")],
        PHOTOS, "vgg16",
        ".dataset: {p}/photos: holds a folder val beside train, expected only train, ",
    ),
    "labels": (
        lambda p: squares(p, y_test=np.arange(15)), ARRAYS, "vgg16",
        ".dataset: {p}/squares.npz: labels in y_test span 0 to 14, expected 0 to 2",
    ),
    "corrupt archive": (
        lambda p: (p / "squares.npz").write_bytes(b"PK"), ARRAYS, "vgg16",
        ".dataset: {p}/squares.npz: cannot be read as .npz: ",
    ),
    "factory": (
        squares, ARRAYS, {"name": "net", "factory": "nosuchmodule:build"},
        ".model: factory: cannot import nosuchmodule:build: ModuleNotFoundError",
    ),
    "checkpoint": (
        squares, ARRAYS, {"name": "net", "factory": "torch.nn:Flatten", "checkpoint": "net.pt"},
        ".model: {p}/net.pt: no such file or folder",
    ),
}  # fmt: skip


def problems(config):
    found = data_files.missing(config, data_files.data_root(config))
    return [data_files.line(config, key, reason) for key, reason in found.items()]


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_one_line_before_anything_runs(tmp_path, case):
    make, dataset, model, said = WRONG[case]
    make(tmp_path)
    (line,) = problems(config(dataset, model, tmp_path))
    assert line.startswith("task_settings.mine" + said.format(p=tmp_path)), line
    assert "\n" not in line


def test_sound_files_are_no_problem(tmp_path):
    squares(tmp_path)
    photos(tmp_path)
    clips(tmp_path)
    for dataset in (ARRAYS, PHOTOS, CLIPS):
        assert problems(config(dataset, "vgg16", tmp_path)) == []


def test_names_stand_for_mappings_in_paths():
    described = config()
    assert own.tasks(described)["mine"]["dataset"] == "squares"
    assert own.tasks(described)["mine"]["model"] == "net"
    assert own.described(described, "dataset") == {"squares": ARRAYS}
    assert own.described(config(model="vgg16"), "model") == {}


def test_a_fingerprint_changes_with_every_file(tmp_path):
    fingerprint = data_files.fingerprint.__wrapped__  # without its memory of this process
    assert fingerprint(tmp_path) == ""
    photos(tmp_path)
    seen = {fingerprint(tmp_path)}
    assert fingerprint(tmp_path) in seen
    for change in (
        lambda: (tmp_path / "photos/cat/0.png").unlink(),
        lambda: (tmp_path / "photos/cat/1.png").write_bytes(b"changed"),
        lambda: (tmp_path / "photos/cat/2.png").rename(tmp_path / "photos/dog/99.png"),
    ):
        change()
        found = fingerprint(tmp_path)
        assert found not in seen
        seen.add(found)
    (tmp_path / "photos").rename(tmp_path / "pictures")
    assert fingerprint(tmp_path / "pictures") != "", "a folder"
    assert fingerprint(tmp_path / "pictures/dog/99.png") != "", "a single file"


@pytest.fixture
def mine(checkout):
    """A copy with own arrays and an own model; a function that runs Snakemake on them."""
    checkout.write("usernet.py", NET)
    squares(checkout.folder)

    def call(*arguments, **changes):
        checkout.write("mine.yaml", yaml.safe_dump(config(root=".", **changes)))
        return checkout.snakemake(*arguments, "--cores", "1", "--configfile", "mine.yaml")

    checkout.call = call
    return checkout


def test_own_data_and_own_model_are_planned_like_all_others(mine):
    done = mine.call("collect", "--dry-run")
    jobs = job_counts(done.stdout)
    assert done.returncode == 0, done.stdout
    assert jobs["prepare_data"] == 1 and jobs["pretrain"] == 2 and jobs["reference"] == 1
    assert jobs["compress"] == 1


@pytest.mark.slow
def test_own_data_are_prepared_again_if_a_file_changes(mine):
    until = ("--until", "prepare_data")

    def planned(**changes):
        return job_counts(mine.call(*until, "--dry-run", **changes).stdout)

    assert mine.call(*until).returncode == 0
    assert planned() == {}
    (mine.folder / "squares.npz").touch()
    assert planned() == {}, "another time of the same content"
    assert planned(dataset=ARRAYS | {"augmentation": "crop_flip"})["prepare_data"] == 1
    squares(mine.folder, y_test=np.zeros(15, int))
    assert planned()["prepare_data"] == 1


@pytest.mark.slow
def test_a_damaged_image_ends_its_job_in_one_line(mine):
    photos(mine.folder)
    (mine.folder / "photos/dog/4.heic").touch()
    path = mine.folder / "photos/dog" / os.fsdecode(b"caf\xe9.png")
    path.write_bytes((mine.folder / "photos/dog/3.png").read_bytes()[:40])
    done = mine.call("--until", "prepare_data", dataset=PHOTOS)
    assert done.returncode == 1
    said = [line for line in done.stdout.splitlines() if line.startswith("photos: ")]
    assert len(said) == 2, done.stdout
    assert said[0] == f"photos: {mine.folder}/photos: 1 file is not read: 1 .heic"
    named = str(path).encode("utf-8", "backslashreplace").decode()
    assert said[1].startswith(f"photos: {named}: cannot be read as an image: ")
    assert "Traceback" not in done.stdout


@pytest.mark.slow
def test_a_network_of_other_classes_ends_its_job_in_one_line(mine):
    mine.write("usernet.py", NET.replace("width, n_classes", "width, 1000"))
    done = mine.call("--until", "pretrain")
    assert done.returncode == 1
    assert (
        "squares/net: factory: usernet:build gives logits of shape (2, 1000), expected (2, 3)\n"
    ) in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.slow
def test_damaged_published_weights_end_their_job_in_one_line(mine):
    path = mine.folder / "resnet18-f37072fd.pth"
    path.write_bytes(b"cut off")
    done = mine.call("--until", "pretrain", model="resnet18_imagenet")
    assert done.returncode == 1
    assert f"squares/resnet18_imagenet: {path}: is damaged, its SHA-256 checksum " in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.slow
def test_a_checkpoint_takes_the_place_of_training(mine):
    folder = mine.folder
    target = "results/pretrained/squares/net/seed~0/model.pt"
    state = {"1.weight": torch.ones(3, 64), "1.bias": torch.zeros(3)}
    torch.save(state, folder / "net.pt")
    given = MODEL | {"checkpoint": "net.pt"}
    done = mine.call("--until", "pretrain", model=given)
    chance = f"squares/net: {folder}/net.pt: scores 0.333 on validation, where 0.333 is chance; "
    assert done.returncode == 1 and chance in done.stdout and "Traceback" not in done.stdout
    given["accuracy"] = 0.3
    done = mine.call("--until", "pretrain", model=given)
    assert done.returncode == 0, done.stdout
    assert "squares/net seed 0: validation score 0.3333, weights of net.pt" in done.stdout
    found = torch.load(folder / target, weights_only=True)
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())
    record = json.loads((folder / target).with_name("run.json").read_text())
    assert record["start"] == "net.pt" and record["epoch"] == 0 and record["params"] is None
    # the weights of every seed are the same: nothing was trained again to compare with
    jobs = job_counts(mine.call("collect", "--dry-run", model=given).stdout)
    assert "pretrain" not in jobs and jobs["reference"] == 1

    torch.save(state | {"1.bias": torch.zeros(4)}, folder / "net.pt")
    done = mine.call("--until", "pretrain", model=given)
    assert done.returncode == 1
    assert (
        f"squares/net: {folder}/net.pt: does not fit the model: has another shape of "
        "1.bias (4,) (expected (3,))\n"
    ) in done.stdout
    assert "Traceback" not in done.stdout
