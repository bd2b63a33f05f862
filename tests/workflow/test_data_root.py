"""Data sets that are read from disk: where they are looked for, and what is said without them."""

import pytest
import yaml

from tests.workflow.conftest import job_counts
from tests.workflow.test_bad_input import refusal, refusal_of_the_library

CLIPS = '''"""Digits, if the file clips.zip is there."""

import dataclasses

from ecqx.tasks.datasets import digits


def missing(root):
    if root is None:
        return "name a folder"
    return None if (root / "clips.zip").is_file() else f"put clips.zip into {root}"


def prepare(seed, root=None):
    assert missing(root) is None
    return dataclasses.replace(digits.prepare(seed), name="clips")
'''
TASK = {"task_settings": {"digits": {"dataset": "clips"}}}
FILES = "task_settings.digits.dataset: got 'clips', expected its files: "


@pytest.fixture(autouse=True)
def no_root(monkeypatch):
    """Whatever the environment of the tests names."""
    monkeypatch.delenv("ECQX_DATA", raising=False)


@pytest.fixture
def clips(checkout):
    """A copy with a data set that is read from disk, and two folders that hold it."""
    checkout.write("ecqx/tasks/datasets/clips.py", CLIPS)
    for name in ("here", "there"):
        (checkout.folder / name).mkdir()
        checkout.write(f"{name}/clips.zip", "clips")
    (checkout.folder / "empty").mkdir()
    return checkout


def test_no_root(clips):
    assert refusal_of_the_library(clips, TASK) == [FILES + "name a folder"]


def test_files_missing_in_the_root(clips):
    expected = [FILES + f"put clips.zip into {clips.folder / 'empty'}"]
    assert refusal_of_the_library(clips, TASK | {"data_root": "empty"}) == expected


def test_files_missing_in_the_root_of_the_environment(clips, monkeypatch):
    monkeypatch.setenv("ECQX_DATA", str(clips.folder / "empty"))
    lines = refusal_of_the_library(clips, TASK)
    assert lines == [FILES + f"put clips.zip into {clips.folder / 'empty'}"]


def test_speech_commands_says_what_to_put_where(clips):
    task = {"task_settings": {"digits": {"dataset": "speech_commands_test"}}}
    (line,) = refusal_of_the_library(clips, task | {"data_root": "empty"})
    archive = "speech_commands_test_set_v0.02.tar.gz"
    address = f"https://storage.googleapis.com/download.tensorflow.org/data/{archive}"
    assert f"put {archive} from {address}" in line
    assert line.endswith(f"into {clips.folder / 'empty'}")


def test_a_root_that_does_not_exist(clips):
    (line,) = refusal_of_the_library(clips, TASK | {"data_root": "nowhere"})
    assert line == (
        f"data_root: got '{clips.folder / 'nowhere'}', expected the path of a folder that exists"
    )


def test_a_home_that_does_not_exist(clips):
    (line,) = refusal_of_the_library(clips, TASK | {"data_root": "~nobody_of_this_name/data"})
    assert line.startswith("data_root: got ") and "~nobody_of_this_name" in line


def test_a_root_of_the_environment_that_does_not_exist(clips, monkeypatch):
    monkeypatch.setenv("ECQX_DATA", str(clips.folder / "here/clips.zip"))
    (line,) = refusal_of_the_library(clips, TASK)
    assert line.startswith("data_root (environment variable ECQX_DATA): got ")


@pytest.mark.parametrize("root", [3, "", ["here"]])
def test_a_root_that_is_no_path(clips, root):
    (line,) = refusal(clips, TASK | {"data_root": root})
    assert line.startswith("data_root: got ") and "expected the path of a folder, or null" in line


@pytest.mark.slow
def test_another_root_prepares_its_data_sets_again(clips, monkeypatch):
    home = clips.folder / "home"
    home.mkdir()
    (clips.folder / "there").rename(home / "there")
    monkeypatch.setenv("HOME", str(home))

    def call(root, *more):
        clips.write("mine.yaml", yaml.safe_dump(TASK | {"data_root": root}))
        configs = ["--configfile", "config/smoke.yaml", "mine.yaml"]
        until = ["--until", "prepare_data", "--cores", "1"]
        done = clips.snakemake(*until, *configs, *more)
        assert done.returncode == 0, done.stdout
        return job_counts(done.stdout)

    assert call("here")["prepare_data"] == 1
    assert call("here", "--dry-run") == {}
    monkeypatch.setenv("ECQX_DATA", str(clips.folder / "here"))
    assert call(None, "--dry-run") == {}, "the same folder in other words"
    assert call("~/there", "--dry-run")["prepare_data"] == 1, "the configuration comes first"
    monkeypatch.setenv("ECQX_DATA", str(home / "there"))
    assert call(None, "--dry-run")["prepare_data"] == 1
